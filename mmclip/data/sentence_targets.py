"""The soft labels of sentences, found by study and place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from mmclip.data.ragged import Ints, Vectors, starts_of
from mmclip.data.targets import WIDTHS
from mmclip.errors import UserError


def stack_vectors(targets: pl.DataFrame) -> Vectors:
    """The vectors of a targets table, float32 [rows, L]; L is 14, or 42 where the first has one-hot slots.

    Raises:
        UserError: a vector has another length.
    """
    lengths = targets["vector"].list.len()
    width = WIDTHS[-1] if len(targets) and lengths[0] == WIDTHS[-1] else WIDTHS[0]
    wrong = targets.filter(lengths != width)
    if len(wrong):
        raise UserError(f"targets: the vector of {wrong['id'][0]!r} does not have {width} entries; run disambiguate")
    flat = targets["vector"].explode(empty_as_null=False).to_numpy().astype(np.float32, copy=False)
    return flat.reshape(-1, width)


@dataclass(frozen=True)
class SentenceTargets:
    """Soft labels of the sentences of numbered studies.

    Attributes:
        studies: ids.
        first: [studies + 1] where the rows of a study's sentences start in `row`.
        row: row of each sentence in `vectors`, -1 where it has none.
        vectors: [V, L].
    """

    studies: pl.Series
    first: Ints
    row: Ints
    vectors: Vectors

    @classmethod
    def find(cls, targets: pl.DataFrame, studies: pl.Series) -> SentenceTargets:
        """Those of some studies in a TARGETS table, where the id of a sentence is ``<study_id>/<index>``.

        Raises:
            UserError: a vector has another length than the first.
        """
        part = r"^(.*)/(\d{1,9})$"
        places = targets.lazy().with_row_index("row").filter(pl.col("kind") == "sentence")
        named = places.select(
            "row",
            pl.col("id").str.extract(part, 1).alias("study_id"),
            pl.col("id").str.extract(part, 2).cast(pl.Int64).alias("index"),
        )
        numbers = pl.LazyFrame({"study_id": studies, "study": np.arange(len(studies), dtype=np.int64)})
        found = named.join(numbers, on="study_id").select("row", "study", "index").sort("row").collect()
        study, index = found["study"].to_numpy(), found["index"].to_numpy()
        sizes = np.zeros(len(studies), np.int64)
        np.maximum.at(sizes, study, index + 1)
        first = starts_of(sizes)
        row = np.full(first[-1], -1, np.int64)
        row[first[study] + index] = np.arange(len(found))
        return cls(studies, first, row, stack_vectors(targets[found["row"]]))

    def rows(self, study: Ints, index: Ints) -> Ints:
        """Rows in `vectors` of sentences, by the numbers of their studies and their own.

        Raises:
            UserError: a sentence has no vector.
        """
        place = self.first[study] + index
        inside = place < self.first[study + 1]
        rows = np.where(inside, self.row[np.where(inside, place, 0)] if len(self.row) else -1, -1)
        if len(rows) and rows.min() < 0:
            at = int(np.argmin(rows))
            name = f"{self.studies[int(study[at])]}/{index[at]}"
            raise UserError(f"targets: no vector for sentence {name!r} of the corpus; run disambiguate again")
        return rows
