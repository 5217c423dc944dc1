"""What never changes the labels of a report, whatever it says; and time that grows no faster than the text."""

import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.labeling.aggregation import aggregate_table
from mmclip.labeling.extractor import extract, label_sentence
from mmclip.labeling.rules import rules_for
from mmclip.observations import COLUMNS, NO_FINDING, OBSERVATIONS, State, aggregate
from mmclip.sentences import split
from mmclip.tables.schema import LABEL_COLUMNS

ENGLISH, SPANISH = "eng_Latn", "spa_Latn"


def sentences_of(name: str) -> list[str]:
    groups = yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return [text for group in groups.values() for text in group]


_SENTENCES = {ENGLISH: sentences_of("sentences/eng_Latn.yaml"), SPANISH: sentences_of("sentences/spa_Latn.yaml")}
_NORMAL = {
    ENGLISH: [
        "The lungs are clear.", "Heart size is normal.", "No pneumothorax.", "There is no pleural effusion.",
        "The osseous structures are intact.", "Mediastinal contours are within normal limits.",
        "No acute fracture is identified.", "No focal consolidation, effusion or pneumothorax.",
    ],
    SPANISH: [
        "Parénquima pulmonar sin alteraciones.", "Silueta cardíaca de tamaño normal.", "No se observa neumotórax.",
        "Sin derrame pleural.", "Marco óseo sin hallazgos.", "Mediastino normal.", "No se identifican fracturas.",
    ],
}  # fmt: skip


def reports(most: int = 6) -> st.SearchStrategy[tuple[str, list[str]]]:
    """A language and sentences in it, each with its stop."""
    return st.sampled_from([ENGLISH, SPANISH]).flatmap(
        lambda language: st.tuples(
            st.just(language), st.lists(st.sampled_from(_SENTENCES[language]).map(stopped), max_size=most)
        )
    )


def stopped(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def labels_of(text: str, language: str) -> dict[str, State]:
    """The labels of a whole text, as the stage gives them."""
    return aggregate([label_sentence(sentence, language) for sentence in split(text)])


@given(reports(), st.data())
def test_an_unrelated_normal_sentence_changes_no_other_observation(
    report: tuple[str, list[str]], data: st.DataObject
) -> None:
    language, texts = report
    normal = data.draw(st.sampled_from(_NORMAL[language]))
    at = data.draw(st.integers(0, len(texts)))
    before = labels_of(" ".join(texts), language)
    after = labels_of(" ".join([*texts[:at], normal, *texts[at:]]), language)
    named = {name for name, state in label_sentence(normal, language).items() if state is not None}
    for name in OBSERVATIONS:
        if name == NO_FINDING:
            assert after[name] == (before[name] if texts else 1)
        elif name in named and before[name] is None:
            assert after[name] == 0
        else:
            assert after[name] == before[name]


@given(reports(), st.randoms(use_true_random=False))
def test_the_order_of_sentences_does_not_matter(report: tuple[str, list[str]], random: Any) -> None:
    language, texts = report
    expected = labels_of(" ".join(texts), language)
    random.shuffle(texts)
    assert labels_of(" ".join(texts), language) == expected


@given(reports(), st.data())
def test_a_text_with_a_sentence_dropped_has_the_labels_of_what_is_left(
    report: tuple[str, list[str]], data: st.DataObject
) -> None:
    language, texts = report
    rows = [label_sentence(sentence, language) for sentence in split(" ".join(texts))]
    kept = [row for row in rows if data.draw(st.booleans())]
    table = pl.DataFrame(
        [["x", *(row[name] for name in OBSERVATIONS)] for row in kept],
        schema={"id": pl.String, **LABEL_COLUMNS},
        orient="row",
    )
    found = [dict(zip(OBSERVATIONS, row[1:], strict=True)) for row in aggregate_table(table, "id").rows()]
    assert found == ([aggregate(kept)] if kept else [])
    again = labels_of(" ".join(texts[:-1]), language)
    assert again == aggregate([label_sentence(sentence, language) for sentence in split(" ".join(texts[:-1]))])


@given(reports(3))
def test_upper_case_spaces_and_the_last_stop_do_not_matter(report: tuple[str, list[str]]) -> None:
    language, texts = report
    text = " ".join(texts)
    expected = labels_of(text, language)
    assert labels_of(text.upper(), language) == expected
    assert labels_of(text.replace(" ", "  "), language) == expected
    assert labels_of(f"\n {text.removesuffix('.')}  \n", language) == expected


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language, texts in _SENTENCES.items() for text in texts]
)
def test_line_breaks_inside_a_sentence_do_not_matter(language: str, text: str) -> None:
    """As an editor wraps: at any blank, with the next line beginning in lower case."""
    words = text.split(" ")
    expected = labels_of(text, language)
    for at in range(1, len(words)):
        if words[at][:1].islower() and not words[at - 1].endswith((".", ":")):
            broken = "\n".join([" ".join(words[:at]), " ".join(words[at:])])
            assert labels_of(broken, language) == expected


@given(st.text(max_size=300), st.sampled_from([ENGLISH, SPANISH]))
@settings(max_examples=200)
def test_any_text_is_read(text: str, language: str) -> None:
    assert list(labels_of(text, language)) == list(OBSERVATIONS)


@pytest.mark.parametrize(
    ("language", "piece"),
    [
        (ENGLISH, "no effusion or atelectasis and heart, "),
        (ENGLISH, "x"),
        (SPANISH, "sin derrame, corazón y no se puede descartar "),
        (ENGLISH, "é\u0301"),
        (ENGLISH, "🫁 ? "),
    ],
)
def test_time_grows_no_faster_than_the_text(language: str, piece: str) -> None:
    """One line of 1 MB against one of 256 KB: 4 times the text, and of anything quadratic 16 times the time."""
    rules = rules_for(language)

    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size]
        start = time.process_time()
        for sentence in split(text):
            extract(sentence, rules)
        return time.process_time() - start

    seconds(10_000)
    short = min(seconds(262_144) for _ in range(2))
    assert seconds(1_048_576) < 8 * short + 0.5


def test_the_columns_are_those_of_the_observations() -> None:
    assert tuple(LABEL_COLUMNS) == COLUMNS
