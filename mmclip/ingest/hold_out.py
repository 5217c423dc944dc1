"""Benchmarks that are drawn from a data set's training images, and whose patients then leave training.

An image is a candidate for a class by a protocol, named after the code that brought it:

* ``gloria`` (GLoRIA's CheXpert-5x200): frontal images; exactly one of the classes present, and no other observation but
  No Finding present or uncertain.
* ``medclip`` (MedCLIP's): any view; exactly one of the classes present; uncertain counts as absent, and observations
  outside the classes are not looked at.
* ``medclip_covid`` (MedCLIP's COVID): the classes COVID and Normal of the COVID-19 Radiography Database.
* ``medclip_rsna`` (MedCLIP's RSNA): images with pneumonia, and as Normal all without, sick lungs among them.

What differs from theirs: nobody published a draw, and GLoRIA's has no seed, so that these are other images of the same
kind. Nothing is filled in for observations that are not mentioned; they simply are not present. Our classes hold
exactly `per_class` images. MedCLIP draws 400 a class and keeps a random half of all, so that each of its five holds
about 200; of COVID it pools all images with as many normal ones and draws 3,000 of the pool, about 1,500 each; of RSNA
it sets a random 30% of the images aside and takes all with pneumonia and as many without, about 1,800 each. And here
all studies of a drawn image's patient leave training, where theirs leave the images only. Scores on different draws are
not comparable to the digit; the checksum of the ids in the card tells whether two draws are one.

Images are ranked by a hash of seed and id, and the first of each class are drawn. So the order of rows does not matter,
and a new row takes at most one other's place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from mmclip.config.source import HoldOut
from mmclip.errors import UserError
from mmclip.observations import ABSENT, NO_FINDING, OBSERVATIONS, PRESENT, UNCERTAIN, column
from mmclip.tables.ingest import HELD_OUT, OWN_LABELS

FRONTAL = ("AP", "PA", "FRONTAL")

PER_CLASS = {"gloria": 200, "medclip": 200, "medclip_covid": 1500, "medclip_rsna": 1800}
"""Images of each class; of the last two about what MedCLIP's scripts give on the whole data set."""

COVID, NORMAL, PNEUMONIA = "COVID", "Normal", "Pneumonia"

Candidates = dict[str, pl.DataFrame]
"""Class -> rows with image_id, study_id and patient_id."""


def hold_out(
    chosen: Sequence[HoldOut], tables: Mapping[str, pl.DataFrame], where: str
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Draw the benchmarks from the images of the split train.

    Args:
        tables: images and labels, and own_labels if there are any.
        where: the data set, for messages.

    Returns:
        A table of :data:`HELD_OUT`, and for each benchmark its counts and the checksum of its ids.

    Raises:
        UserError: there are too few images of a class, or the ids are not those that the settings expect.
    """
    training = {**tables, "images": tables["images"].filter(pl.col("split") == "train")}
    drawn = [_draw(one, training, where) for one in chosen]
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


def _draw(one: HoldOut, tables: Mapping[str, pl.DataFrame], where: str) -> pl.DataFrame:
    count, rows = one.per_class or PER_CLASS[one.protocol], []
    for name, candidates in _candidates(one, tables, where).items():
        if len(candidates) < count:
            raise UserError(
                f"{where}: hold_out {one.name}: {len(candidates)} training images show {name} alone, "
                f"per_class is {count}; lower it"
            )
        of_class = candidates.select("image_id", "study_id", "patient_id").rows()
        ranked = sorted(of_class, key=lambda row: hashlib.sha256(f"{one.seed}\0{row[0]}".encode()).digest())
        rows += [(one.name, *row, name) for row in ranked[:count]]
    return pl.DataFrame(rows, schema=HELD_OUT.columns, orient="row").sort("image_id")


def _candidates(one: HoldOut, tables: Mapping[str, pl.DataFrame], where: str) -> Candidates:
    if one.protocol == "medclip_covid":
        own = tables.get("own_labels", OWN_LABELS.empty()).filter(kind="image", state=PRESENT)
        images = tables["images"].join(own.rename({"id": "image_id"}), on="image_id")
        return {name: images.filter(name=name) for name in (COVID, NORMAL)}
    source = "file" if one.protocol == "medclip_rsna" else one.label_source
    known = _labelled(tables, source, f"{where}: hold_out {one.name}")
    if one.protocol == "medclip_rsna":
        pneumonia = pl.col(column(PNEUMONIA))
        return {PNEUMONIA: known.filter(pneumonia == PRESENT), NORMAL: known.filter(pneumonia == ABSENT)}
    if one.protocol == "gloria":
        known = known.filter(pl.col("view").is_in(FRONTAL))
    return {name: known.filter(_shows_alone(one, name)) for name in one.classes}


def _labelled(tables: Mapping[str, pl.DataFrame], source: str, where: str) -> pl.DataFrame:
    """Images with their labels of one source: their own, or else their study's."""
    images, of_source = tables["images"], tables["labels"].filter(pl.col("label_source") == source)
    if of_source.is_empty():
        sources = ", ".join(sorted(tables["labels"]["label_source"].unique())) or "none"
        raise UserError(f"{where}: no labels of {source!r}; there are {sources}")
    own, study = (of_source.filter(pl.col("kind") == kind) for kind in ("image", "study"))
    by_image = images.join(own.rename({"id": "image_id"}), on="image_id")
    others = images.join(by_image.select("image_id"), on="image_id", how="anti")
    return pl.concat([by_image, others.join(study.rename({"id": "study_id"}), on="study_id")], how="diagonal")


def _shows_alone(one: HoldOut, name: str) -> pl.Expr:
    if one.protocol == "medclip":
        others, states = set(one.classes) - {name}, [PRESENT]
    else:
        others, states = set(OBSERVATIONS) - {name, NO_FINDING}, [PRESENT, UNCERTAIN]
    clear = pl.all_horizontal(~pl.col(column(other)).is_in(states).fill_null(False) for other in sorted(others))
    return (pl.col(column(name)) == PRESENT).fill_null(False) & clear
