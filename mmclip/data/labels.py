"""Which labels count: of a study or image those of the first source that it has, and an image's own or its study's."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mmclip.observations import COLUMNS
from mmclip.tables.labeling import LABELS
from mmclip.tables.schema import check


def first_source(labels: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """For each id and kind of a LABELS table the labels of the first source that it has, with that source's `rank`.

    Args:
        sources: those that count, the first before the others.
    """
    check(labels, LABELS, "labels")
    rank = {source: number for number, source in enumerate(sources)}
    known = labels.filter(pl.col("label_source").is_in(list(rank)))
    known = known.with_columns(rank=pl.col("label_source").replace_strict(rank, return_dtype=pl.Int32))
    return known.sort("rank", maintain_order=True).unique(["id", "kind"], keep="first", maintain_order=True)


def image_labels(images: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The images that have labels, with the 14 columns: their own or their study's, whichever source comes first.

    Args:
        images: with image_id and study_id.
        chosen: what :func:`first_source` gave.
    """
    own, study = (chosen.filter(pl.col("kind") == kind).select("id", "rank", *COLUMNS) for kind in ("image", "study"))
    both = images.join(own.rename({"id": "image_id"}), on="image_id", how="left", maintain_order="left").join(
        study.rename({"id": "study_id"}), on="study_id", how="left", maintain_order="left", suffix=":study"
    )
    both = both.filter(pl.any_horizontal(pl.col("rank", "rank:study").is_not_null()))
    first = pl.col("rank").is_not_null() & (pl.col("rank") <= pl.col("rank:study").fill_null(len(chosen)))
    merged = (pl.when(first).then(pl.col(name)).otherwise(pl.col(f"{name}:study")).alias(name) for name in COLUMNS)
    return both.select(*images.columns, *merged)
