"""The validation sample: some kept and some rejected sentences, for judges who are not told which is which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from mmclip.config.filtering import Validation
from mmclip.filtering.sheet import write_sheets
from mmclip.tables.files import read_tables, write_table
from mmclip.tables.filtering import SAMPLE
from mmclip.tables.schema import check
from mmclip.tables.translation import SCORED

SOURCE = "source"
"""Engine of sentences that stand in their source language."""


def validate(settings: Validation, scored: Mapping[str, Sequence[Path]], output: Path, seed: int) -> dict[str, int]:
    """Draw the validation sample and write the judges' sheets.

    Args:
        scored: language -> its SCORED shards. Sentences that are the source itself (engine ``source``) have no
            translation to judge and are left out.
        output: a folder for sample.parquet, sheet.html and sheet.csv (mode 0600: they hold report text).

    Returns:
        Numbers of items, and of kept ones among them.
    """
    sample = draw(scored, settings, seed)
    write_table(sample, output / "sample.parquet", SAMPLE)
    write_sheets(sample, output)
    return {"items": sample.height, "kept": int(sample["kept"].sum())}


def draw(scored: Mapping[str, Sequence[Path]], settings: Validation, seed: int) -> pl.DataFrame:
    """The sample (a SAMPLE table) of scored shards by language.

    In each language, `share` of the kept and of the rejected sentences (rounded up, `minimum` to `maximum`) without
    replacement, in random order; a function of the seed, the language and its sentences.
    """
    samples = [_draw_language(language, list(paths), settings, seed) for language, paths in sorted(scored.items())]
    return check(pl.concat(samples) if samples else SAMPLE.empty(), SAMPLE)


def _draw_language(language: str, paths: list[Path], settings: Validation, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng([seed, *language.encode()])
    sentences = _with_context(read_tables([*paths], SCORED).filter(pl.col("engine") != SOURCE))
    chosen = [
        row
        for kept in (True, False)
        for row in _choose(np.flatnonzero(sentences["kept"].to_numpy() == kept), settings, rng)
    ]
    rows = sentences[rng.permutation(np.array(chosen, dtype=int))]
    items = [f"{language}-{number:05d}" for number in range(1, rows.height + 1)]
    return rows.with_columns(item=pl.Series(items, dtype=pl.String), language=pl.lit(language, dtype=pl.String)).select(
        *SAMPLE.columns
    )


def _with_context(sentences: pl.DataFrame) -> pl.DataFrame:
    """Sentences in order, with the source sentences before and after them in their report."""
    source = pl.col("source")
    return sentences.sort("study_id", "index").with_columns(
        before=source.shift(1).over("study_id").fill_null(""), after=source.shift(-1).over("study_id").fill_null("")
    )


def _choose(rows: np.ndarray, settings: Validation, rng: np.random.Generator) -> list[int]:
    wanted = max(math.ceil(settings.share * len(rows) - 1e-9), settings.minimum)
    size = min(wanted, len(rows), settings.maximum or len(rows))
    return [int(row) for row in rng.choice(rows, size=size, replace=False)]
