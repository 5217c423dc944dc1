"""Where the texts of a split lie. They are read a language at a time, so that one language's strings are in memory.

4.3 million texts with their sentences would take some 20 GB as strings; of one language of 21 it is a GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from mmclip.errors import NothingToSample, UserError
from mmclip.tables.files import read_rows
from mmclip.tables.filtering import CORPUS

COLUMNS = pl.Schema({"study": pl.Int64(), "sentences": pl.List(pl.String), "indices": pl.List(pl.Int32)})
PLACES_A_STUDY = 2**32
"""More than the sentences of any report."""


class Texts(Protocol):
    """Texts of numbered studies in some languages.

    Attributes:
        studies: ids of the studies that have a text, sorted; their places here are their numbers.
        counts: language -> how many texts it has, in the order of the languages.
    """

    @property
    def studies(self) -> pl.Series: ...

    @property
    def counts(self) -> dict[str, int]: ...

    def of(self, language: str) -> pl.DataFrame:
        """The texts of one language: study (its number), sentences, indices; sorted by study."""
        ...


class SplitTexts:
    """The texts of one split in corpus shards; see :class:`Texts`.

    A shard holds a language in the workflow. One with several is read once for each, and only that language's rows.

    Args:
        files: corpus shards.
        studies: study_id and split of every study.
        split: train or val.
        languages: FLORES-200 codes, in the order their texts shall have.

    Raises:
        UserError: a shard names a study that is in no studies table.
        NothingToSample: no text is left.
    """

    def __init__(self, files: Sequence[Path], studies: pl.DataFrame, split: str, languages: Sequence[str]) -> None:
        wanted = studies.filter(pl.col("split") == split)["study_id"].unique().sort()
        seen = np.zeros(len(wanted), np.bool_)
        self.counts = dict.fromkeys(languages, 0)
        self._files: dict[str, list[Path]] = {language: [] for language in languages}
        for file in files:
            found = _check(file, studies).filter(pl.col("language").is_in(list(languages)))
            found = found.join(_numbered(wanted), on="study_id")
            seen[found["study"].to_numpy()] = True
            for language, count in found.group_by("language").len().iter_rows():
                self.counts[language] += count
                self._files[language].append(file)
        self.studies = wanted.filter(pl.Series(seen))
        if not len(self.studies):
            raise NothingToSample(
                f"corpus: no text of split {split!r} in {', '.join(languages)}; check the languages and the filter"
            )

    def of(self, language: str) -> pl.DataFrame:
        """The texts of one language: study (its number), sentences, indices; sorted by study."""
        columns = ("study_id", "sentences", "indices")
        numbers = _numbered(self.studies)
        where = (pl.col("language") == language) & (pl.col("indices").list.len() > 0)
        parts = [
            read_rows(file, CORPUS, columns, where).join(numbers, on="study_id").select("study", *columns[1:])
            for file in self._files[language]
        ]
        return pl.concat([COLUMNS.to_frame(), *parts]).sort("study")


def _check(file: Path, studies: pl.DataFrame) -> pl.DataFrame:
    """study_id and language of a shard's texts that have a sentence."""
    rows = read_rows(file, CORPUS, ("study_id", "language", "indices"))
    stray = rows.join(studies, on="study_id", how="anti")
    if len(stray):
        raise UserError(f"{file}: study {stray['study_id'][0]!r} is in no studies table, so its split is unknown")
    return rows.filter(pl.col("indices").list.len() > 0).select("study_id", "language")


def _numbered(studies: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"study_id": studies, "study": np.arange(len(studies), dtype=np.int64)})


class DistinctTexts:
    """Texts with each distinct sentence in one study only; studies and texts left empty are dropped.

    A sentence is known by its wording in the study's first language here, so that its translations stay together.

    Args:
        texts: of all sentences. They are read once to choose, and again where they are asked for.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._kept, self.counts = _first_places(texts)
        numbers = (self._kept // PLACES_A_STUDY).unique().sort()
        self._numbers = pl.DataFrame({"old": numbers, "study": np.arange(len(numbers), dtype=np.int64)})
        self.studies = texts.studies.gather(numbers)

    def of(self, language: str) -> pl.DataFrame:
        """The texts of one language: study (its number), sentences, indices; sorted by study."""
        long = with_places(self._texts.of(language))
        kept = long.join(self._kept.to_frame(), on="place", how="semi", maintain_order="left")
        whole = kept.group_by(pl.col("study").alias("old"), maintain_order=True).agg("sentences", "indices")
        found = whole.join(self._numbers, on="old", maintain_order="left")
        return found.select("study", "sentences", "indices")


def with_places(texts: pl.DataFrame) -> pl.DataFrame:
    """A row a sentence of :meth:`Texts.of`: study, sentences, indices, and place, which is alike in translations."""
    place = pl.col("study") * PLACES_A_STUDY + pl.col("indices")
    return texts.explode("sentences", "indices").with_columns(place.alias("place"))


def _first_places(texts: Texts) -> tuple[pl.Series, dict[str, int]]:
    """The places whose first wording, language after language, no place before them has; and how many texts of each
    language have one.
    """
    seen, kept = (pl.DataFrame(schema={"place": pl.Int64}) for _ in range(2))
    wordings = pl.DataFrame(schema={"sentences": pl.String})
    counts = {}
    for language in texts.counts:
        long = with_places(texts.of(language)).select("study", "place", "sentences")
        fresh = long.join(seen, on="place", how="anti", maintain_order="left")
        fresh = fresh.unique("place", keep="first", maintain_order=True)
        first = fresh.join(wordings, on="sentences", how="anti", maintain_order="left")
        first = first.unique("sentences", keep="first", maintain_order=True)
        seen = pl.concat([seen, fresh.select("place")], rechunk=True)
        kept = pl.concat([kept, first.select("place")], rechunk=True)
        wordings = pl.concat([wordings, first.select("sentences")], rechunk=True)
        counts[language] = long.join(kept, on="place", how="semi")["study"].n_unique()
    return kept["place"], counts
