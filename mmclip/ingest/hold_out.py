"""Benchmarks that are drawn from a data set's training images, and whose patients then leave training.

An image is a candidate for a class by one of two protocols, named after the code that brought them:

* ``gloria`` (GLoRIA's CheXpert-5x200): frontal images; exactly one of the classes present, and no other observation but
  No Finding present or uncertain.
* ``medclip`` (MedCLIP's): any view; exactly one of the classes present; uncertain counts as absent, and observations
  outside the classes are not looked at.

What differs from theirs: neither published its draw, and GLoRIA's has no seed, so that these are other images of the
same kind. Nothing is filled in for observations that are not mentioned; they simply are not present. MedCLIP draws 400
a class and keeps a random half of all, so that its classes hold about 200 each, ours exactly. And here all studies of
a drawn image's patient leave training, where theirs leave the images only. Scores on different draws are not
comparable to the digit; the checksum of the ids in the card tells whether two draws are one.

Images are ranked by a hash of seed and id, and the first of each class are drawn. So the order of rows does not matter,
and a new row takes at most one other's place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import polars as pl

from mmclip.config.source import HoldOut
from mmclip.errors import UserError
from mmclip.observations import NO_FINDING, OBSERVATIONS, PRESENT, UNCERTAIN, column
from mmclip.tables.ingest import HELD_OUT

FRONTAL = ("AP", "PA", "FRONTAL")


def hold_out(
    chosen: Sequence[HoldOut], images: pl.DataFrame, labels: pl.DataFrame, where: str
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Draw the benchmarks from the images of the split train.

    Args:
        images, labels: rows of the tables of those names.
        where: the data set, for messages.

    Returns:
        A table of :data:`HELD_OUT`, and for each benchmark its counts and the checksum of its ids.

    Raises:
        UserError: there are too few images of a class, or the ids are not those that the settings expect.
    """
    drawn = [_draw(one, images.filter(pl.col("split") == "train"), labels, where) for one in chosen]
    counts = {
        one.name: {
            "images": len(rows),
            "studies": rows["study_id"].n_unique(),
            "patients": rows["patient_id"].n_unique(),
            "sha256": checksum(rows),
        }
        for one, rows in zip(chosen, drawn, strict=True)
    }
    for one in chosen:
        found = counts[one.name]["sha256"]
        if one.sha256 is not None and one.sha256 != found:
            raise UserError(
                f"{where}: hold_out {one.name}: the ids drawn have sha256 {found}, the settings expect {one.sha256}; "
                f"the data set or the settings differ from those of that draw"
            )
    return pl.concat([HELD_OUT.empty(), *drawn]), counts


def checksum(rows: pl.DataFrame) -> str:
    """SHA-256 of the ids with their classes, in the order of the ids."""
    lines = sorted(f"{identity}\t{name}\n" for identity, name in rows.select("image_id", "observation").iter_rows())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _draw(one: HoldOut, images: pl.DataFrame, labels: pl.DataFrame, where: str) -> pl.DataFrame:
    of_source = labels.filter(pl.col("label_source") == one.label_source)
    if of_source.is_empty():
        sources = ", ".join(sorted(labels["label_source"].unique())) or "none"
        raise UserError(f"{where}: hold_out {one.name}: no labels of {one.label_source!r}; there are {sources}")
    own, study = (of_source.filter(pl.col("kind") == kind) for kind in ("image", "study"))
    by_image = images.join(own.rename({"id": "image_id"}), on="image_id")
    others = images.join(by_image.select("image_id"), on="image_id", how="anti")
    known = pl.concat([by_image, others.join(study.rename({"id": "study_id"}), on="study_id")], how="diagonal")
    if one.protocol == "gloria":
        known = known.filter(pl.col("view").is_in(FRONTAL))
    rows = []
    for name in one.classes:
        candidates = known.filter(_is_candidate(one, name)).select("image_id", "study_id", "patient_id").rows()
        if len(candidates) < one.per_class:
            raise UserError(
                f"{where}: hold_out {one.name}: {len(candidates)} training images show {name} alone, "
                f"per_class is {one.per_class}; lower it"
            )
        ranked = sorted(candidates, key=lambda row: hashlib.sha256(f"{one.seed}\0{row[0]}".encode()).digest())
        rows += [(one.name, *row, name) for row in ranked[: one.per_class]]
    return pl.DataFrame(rows, schema=HELD_OUT.columns, orient="row").sort("image_id")


def _is_candidate(one: HoldOut, name: str) -> pl.Expr:
    if one.protocol == "medclip":
        others, states = set(one.classes) - {name}, [PRESENT]
    else:
        others, states = set(OBSERVATIONS) - {name, NO_FINDING}, [PRESENT, UNCERTAIN]
    clear = pl.all_horizontal(~pl.col(column(other)).is_in(states).fill_null(False) for other in sorted(others))
    return (pl.col(column(name)) == PRESENT).fill_null(False) & clear
