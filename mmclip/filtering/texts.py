"""Texts from their sentences: a corpus row for each study of which enough is left, a rejected one for the others."""

from __future__ import annotations

import polars as pl

from mmclip.config.filtering import Filtering
from mmclip.languages import LANGUAGES


def texts(decided: pl.DataFrame, language: str, settings: Filtering) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The corpus and the rejected texts of a table of decided sentences.

    A study is in the corpus when at least `min_kept_share` of its sentences and `min_kept_sentences` are kept; its text
    is the kept sentences in order, and `reasons` says why others were rejected. These are left out, or stand in the
    source's language where `rejected_sentences` is ``source``. A rejected text is whole, with all the reasons against
    it. Sentences are joined by a space, in Chinese and Japanese by nothing.
    """
    kept = pl.col("kept")
    if settings.rejected_sentences == "source":
        piece, stays = pl.when(kept).then("translation").otherwise("source"), pl.lit(True)
    else:
        piece, stays = pl.col("translation"), kept
    studies = (
        decided.sort("study_id", "index")
        .group_by("study_id", maintain_order=True)
        .agg(
            enough=(kept.mean() >= settings.min_kept_share) & (kept.sum() >= settings.min_kept_sentences),
            all_sentences=pl.col("translation"),
            all_indices=pl.col("index"),
            sentences=piece.filter(stays),
            indices=pl.col("index").filter(stays),
            reasons=pl.col("reasons").explode().drop_nulls().unique().sort(),
        )
    )
    rejected = studies.filter(~pl.col("enough")).with_columns(sentences="all_sentences", indices="all_indices")
    return _corpus(studies.filter("enough"), language), _corpus(rejected, language)


def _corpus(studies: pl.DataFrame, language: str) -> pl.DataFrame:
    joiner = "" if LANGUAGES[language].tokens == "character" else " "
    return studies.select(
        "study_id",
        language=pl.lit(language, dtype=pl.String),
        text=pl.col("sentences").list.join(joiner),
        sentences="sentences",
        indices="indices",
        reasons="reasons",
    )
