"""The Spanish rules: their own sentences and examples, and accents, case and endings that do not matter."""

from pathlib import Path
from unicodedata import normalize

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mmclip.labeling.extractor import extract, label_sentence
from mmclip.labeling.rules import rules_for
from mmclip.labeling.tokens import plain
from mmclip.observations import NO_FINDING, OBSERVATIONS, State

SPANISH = "spa_Latn"
_SIGNS: dict[str | None, State] = {"+": 1, "-": 0, "?": -1, None: None}
_GROUPS: dict[str, dict[str, dict[str, str | None]]] = yaml.safe_load(
    (Path(__file__).parent / "sentences_spa.yaml").read_text(encoding="utf-8")
)
_CASES = [
    pytest.param(text, states, id=f"{group}-{number}")
    for group, sentences in _GROUPS.items()
    for number, (text, states) in enumerate(sentences.items())
]
_sentences = st.sampled_from([text for sentences in _GROUPS.values() for text in sentences])


@pytest.mark.parametrize(("text", "states"), _CASES)
def test_sentence(text: str, states: dict[str, str | None]) -> None:
    got = label_sentence(text, SPANISH)
    expected: dict[str, State] = dict.fromkeys(OBSERVATIONS)
    expected |= {name: _SIGNS[sign] for name, sign in states.items()}
    if NO_FINDING not in states:
        expected[NO_FINDING] = got[NO_FINDING]
    assert got == expected


def test_there_are_enough_sentences() -> None:
    assert len(_CASES) >= 200
    assert sum("?" in states.values() for sentences in _GROUPS.values() for states in sentences.values()) >= 40


@pytest.mark.parametrize(("rule", "text", "states"), rules_for(SPANISH).examples())
def test_examples_of_the_rules(rule: str, text: str, states: dict[str, State]) -> None:
    labels = label_sentence(text, SPANISH)
    other = [mention.state for mention in extract(text, rules_for(SPANISH)) if mention.observation == "Other"]
    for name, state in states.items():
        assert (other[0] if name == "Other" else labels[name]) == state, rule


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
