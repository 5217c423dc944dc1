"""Properties of the extractor: it terminates on any text, and form does not change what a sentence says."""

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.errors import UserError
from mmclip.labeling.extractor import extract, label_sentence
from mmclip.labeling.rules import rules_for
from mmclip.labeling.tokens import tokenize
from mmclip.observations import NO_FINDING, OBSERVATIONS, SUPPORT_DEVICES, aggregate, sentence_no_finding
from mmclip.phantom import phrasebook

_SENTENCES = [
    text
    for group in yaml.safe_load(
        (Path(__file__).parent / "sentences/eng_Latn.yaml").read_text(encoding="utf-8")
    ).values()
    for text in group
]
_sentences = st.sampled_from(_SENTENCES)


@given(_sentences)
def test_case_spaces_and_the_stop_do_not_matter(text: str) -> None:
    expected = label_sentence(text)
    assert label_sentence(text.upper()) == expected
    assert label_sentence(text.replace(" ", "  \n")) == expected
    assert label_sentence(text.removesuffix(".")) == expected
    assert label_sentence(f"  {text} ") == expected


@given(st.lists(_sentences, max_size=6), st.randoms())
def test_the_order_of_sentences_does_not_matter(texts: list[str], random: object) -> None:
    expected = aggregate([label_sentence(text) for text in texts])
    random.shuffle(texts)  # type: ignore[attr-defined]
    assert aggregate([label_sentence(text) for text in texts]) == expected


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text_gives_fourteen_states_and_spans_inside_it(text: str) -> None:
    assert list(label_sentence(text)) == list(OBSERVATIONS)
    for mention in extract(text):
        assert 0 <= mention.start < mention.end <= len(text)


_vocabulary = sorted({word for text in _SENTENCES for word in tokenize(text).words})


@given(st.lists(st.sampled_from(_vocabulary), max_size=40))
@settings(max_examples=300)
def test_any_order_of_the_words_of_reports_is_read(words: list[str]) -> None:
    labels = label_sentence(" ".join(words))
    abnormal = [name for name in OBSERVATIONS if name not in (NO_FINDING, SUPPORT_DEVICES) and labels[name] in (1, -1)]
    assert not (abnormal and labels[NO_FINDING] == 1)


def test_spans_are_those_of_the_original_text() -> None:
    text = "İ  NO\tPleural-Effusion; small  Pneumothorax."
    found = {mention.observation: text[mention.start : mention.end] for mention in extract(text)}
    assert found == {"Pleural Effusion": "Pleural-Effusion", "Pneumothorax": "Pneumothorax"}
    (effusion, _) = extract(text)
    assert text[effusion.cue_start : effusion.cue_end] == "NO"
    assert (effusion.rule, effusion.cue) == ("effusion", "denied")


@pytest.mark.parametrize(
    "piece",
    [
        "no ",
        "heart ",
        "no effusion or atelectasis and heart, ",
        "x",
        "? ",
        "effusion versus ",
        ", ",
        "opacity or ",
        "may ",
    ],
)
def test_a_line_of_half_a_megabyte_is_read_in_linear_time(piece: str) -> None:
    text = piece * (500_000 // len(piece))
    start = time.process_time()
    extract(text)
    assert time.process_time() - start < 8  # measured 1.3 s at most; a quadratic step would take minutes


def test_the_rules_agree_with_what_the_phantom_s_sentences_assert() -> None:
    wrong = []
    sentences = 0
    for frame in phrasebook.frames():
        expected = dict.fromkeys(OBSERVATIONS) | dict(frame.states)
        expected[NO_FINDING] = sentence_no_finding(expected)
        for text in phrasebook.realisations("eng_Latn", frame.id):
            sentences += 1
            if label_sentence(text) != expected:
                wrong.append((frame.id, text))
    assert sentences > 500
    assert len(wrong) <= 0.005 * sentences, wrong


def test_a_language_without_rules_is_named() -> None:
    with pytest.raises(UserError, match="no rules for reports in 'deu_Latn'"):
        rules_for("deu_Latn")
