"""All scores of a table of pairs. What is good enough is decided in :mod:`mmclip.filtering.decisions`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores import (
    copying,
    diversity,
    identification,
    laterality,
    length,
    negation,
    numbers,
    repetition,
    script,
    untranslated,
)


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: its column is ``score_<name>``.
        worse: where the bad values lie: ``low``, ``high`` or ``far`` (from 1, by ratio).
        function: from pairs to one number each.
    """

    name: str
    worse: str
    function: Callable[[Pairs], np.ndarray]

    @property
    def column(self) -> str:
        """The score's column in tables."""
        return f"score_{self.name}"


SCORES: tuple[Score, ...] = (
    Score("content", "low", length.content),
    Score("ttr", "low", diversity.ttr),
    Score("ttr_ratio", "low", diversity.ttr_ratio),
    Score("repetition", "high", repetition.continuous),
    Score("character_loop", "high", repetition.loops),
    Score("distinct_ngrams", "low", repetition.distinct),
    Score("shared_output", "high", repetition.shared_output),
    Score("numbers", "low", numbers.kept_numbers),
    Score("units", "low", numbers.kept_units),
    Score("laterality", "low", laterality.kept_sides),
    Score("negation", "low", negation.kept_negation),
    Score("length_ratio", "far", length.length_ratio),
    Score("end", "low", length.kept_end),
    Score("language", "low", identification.language_odds),
    Score("script", "low", script.script_share),
    Score("mojibake", "high", script.mojibake),
    Score("copy", "high", copying.copied_share),
    Score("untranslated", "high", untranslated.untranslated),
)


def score(frame: pl.DataFrame, source_language: str, language: str, more: Sequence[Score] = ()) -> pl.DataFrame:
    """`frame` (columns source, translation) with a ``score_*`` column for each score and for `more`, as Float32.

    Only distinct pairs are looked at: reports repeat themselves, so they are far fewer than rows.
    """
    grouped = frame.group_by("source", "translation", maintain_order=True).len()
    sources, translations, counts = (column.to_list() for column in grouped.iter_columns())
    pairs = Pairs(sources, translations, source_language, language, counts)
    columns = [pl.Series(score.column, score.function(pairs), dtype=pl.Float32) for score in (*SCORES, *more)]
    distinct = grouped.drop("len").with_columns(columns)
    return frame.join(distinct, on=["source", "translation"], how="left", maintain_order="left")
