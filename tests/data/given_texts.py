"""Texts that lie in memory, for tests that need no corpus shard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mmclip.data.texts import COLUMNS


class GivenTexts:
    """The texts of a table.

    Args:
        texts: study_id, language, sentences and indices.
        languages: in the order their texts shall have.
    """

    def __init__(self, texts: pl.DataFrame, languages: Sequence[str]) -> None:
        self._texts = texts
        self.studies = texts.filter(pl.col("language").is_in(list(languages)))["study_id"].unique().sort()
        self.counts = {code: len(texts.filter(pl.col("language") == code)) for code in languages}

    def of(self, language: str) -> pl.DataFrame:
        """study, sentences and indices of one language, sorted by study."""
        numbers = pl.DataFrame({"study_id": self.studies, "study": np.arange(len(self.studies), dtype=np.int64)})
        found = self._texts.filter(pl.col("language") == language).join(numbers, on="study_id")
        return found.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items()).sort("study")
