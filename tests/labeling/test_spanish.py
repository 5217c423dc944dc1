"""The Spanish rules: accents, case and endings do not matter."""

from pathlib import Path
from unicodedata import normalize

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmclip.labeling.extractor import extract, label_sentence
from mmclip.labeling.rules import rules_for
from mmclip.labeling.tokens import plain

SPANISH = "spa_Latn"
_GROUPS: dict[str, dict[str, object]] = yaml.safe_load(
    (Path(__file__).parent / "sentences/spa_Latn.yaml").read_text(encoding="utf-8")
)
_sentences = st.sampled_from([text for sentences in _GROUPS.values() for text in sentences])


def test_patterns_have_no_accents_since_words_have_none() -> None:
    rules = rules_for(SPANISH)
    for rule in (*rules.mentions, *rules.cues):
        assert all(plain(pattern) == pattern.lower() for pattern in rule.patterns if "¿" not in pattern), rule.id


@given(_sentences)
def test_accents_case_spaces_and_the_stop_do_not_matter(text: str) -> None:
    expected = label_sentence(text, SPANISH)
    assert label_sentence(plain(text), SPANISH) == expected
    assert label_sentence(normalize("NFD", text), SPANISH) == expected
    assert label_sentence(text.upper(), SPANISH) == expected
    assert label_sentence(text.replace(" ", " \n"), SPANISH) == expected
    assert label_sentence(text.removesuffix("."), SPANISH) == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("SIN  NEUMOTÓRAX.", {"Pneumothorax": "NEUMOTÓRAX"}),
        (
            "Silueta cardíaca normal; derrame pleural.",
            {"Cardiomegaly": "Silueta cardíaca", "Pleural Effusion": "derrame pleural"},
        ),
    ],
)
def test_spans_are_those_of_the_original_text(text: str, spans: dict[str, str]) -> None:
    found = {m.observation: text[m.start : m.end] for m in extract(text, rules_for(SPANISH))}
    assert found == spans


def test_heart_failure_makes_an_enlarged_heart_possible() -> None:
    labels = label_sentence("Signos de insuficiencia cardíaca congestiva.", SPANISH)
    assert (labels["Edema"], labels["Cardiomegaly"]) == (1, -1)
