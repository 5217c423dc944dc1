"""Recall and false alarms on the phrase book: right translations, and each kind of fault made from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl
import pytest
import yaml

from benchmarks.corruptions import FAULTS, RIGHT, corrupted, sentences
from mmclip.config.filtering import Thresholds
from mmclip.filtering.decisions import decide
from mmclip.filtering.scoring import score
from mmclip.languages import ENGLISH, TARGETS

RECALL = {
    **dict.fromkeys(("loop", "letter_loop", "truncate", "copy", "wrong_language", "number", "mojibake", "empty"), 0.95),
    **dict.fromkeys(("negation", "side", "word_left"), 0.90),
}
"""Over all languages. None for another report's sentence: most are as well-formed as the right one."""

ROOT = Path(__file__).parents[2]
EACH = 25
"""Sentences of each family, role and language."""


@cache
def rejected() -> pl.DataFrame:
    """role, language, kind, sentences, rejected."""
    parts = []
    for language in TARGETS:
        rows = [(s.role, "right", s.source, s.translation) for s in sentences(language)]
        rows += [(s.role, kind, s.source, text) for kind, s, text in corrupted(language, (*FAULTS, *RIGHT), EACH)]
        frame = pl.DataFrame(rows, schema=["role", "kind", "source", "translation"], orient="row").with_columns(
            language=pl.lit(language), flags=pl.lit([], dtype=pl.List(pl.String))
        )
        parts.append(decide(score(frame, ENGLISH, language), Thresholds()))
    table = pl.concat(parts).group_by("role", "language", "kind")
    return table.agg(sentences=pl.len(), rejected=(~pl.col("kept")).sum())


def share(**where: str) -> float:
    found = rejected().filter(**where)
    return float(found["rejected"].sum() / found["sentences"].sum())


@pytest.mark.parametrize("role", ["training", "held_out"])
@pytest.mark.parametrize("kind", RECALL)
def test_recall_of_each_kind(kind: str, role: str) -> None:
    assert share(kind=kind, role=role) >= RECALL[kind]


@pytest.mark.parametrize("language", TARGETS)
def test_right_translations_pass_in_each_language(language: str) -> None:
    assert share(kind="right", language=language) <= 0.05


@pytest.mark.parametrize("language", TARGETS)
def test_sentences_outside_the_phrase_book(language: str) -> None:
    book = yaml.safe_load((ROOT / "benchmarks/filter_sentences.yaml").read_text(encoding="utf-8"))
    english, own = book[ENGLISH], book[language]
    right = [kind for kind in ("plain", "cognates") if kind in own]
    pairs = [(en, text, True) for kind in right for en, text in zip(english[kind], own[kind], strict=True)]
    for kind in ("negation", "side"):
        for (one, other), (first, second) in zip(english[kind], own[kind], strict=True):
            pairs += [(one, first, True), (other, second, True), (one, second, False), (other, first, False)]
    frame = pl.DataFrame(pairs, schema=["source", "translation", "right"], orient="row")
    decided = decide(
        score(frame.with_columns(flags=pl.lit([], dtype=pl.List(pl.String))), ENGLISH, language), Thresholds()
    )
    assert decided["kept"].to_list() == decided["right"].to_list()


@pytest.mark.parametrize("kind", ["right", "synonyms"])
def test_right_translations_pass_also_in_other_words(kind: str) -> None:
    assert share(kind=kind) <= 0.02
