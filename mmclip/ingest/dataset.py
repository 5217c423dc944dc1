"""A data set as the ingest leaves it: its tables, its card and its counts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.tables.card import Card
from mmclip.tables.files import PRIVATE, write_json, write_table, write_text
from mmclip.tables.ingest import BOXES, HELD_OUT, IMAGES, MASKS, OWN_LABELS, SKIPPED, SPLITS, STUDIES
from mmclip.tables.labeling import LABELS
from mmclip.tables.phantom import STATEMENTS, TRUTH
from mmclip.tables.schema import Table

TABLES: dict[str, Table] = {
    "studies": STUDIES,
    "images": IMAGES,
    "labels": LABELS,
    "boxes": BOXES,
    "masks": MASKS,
    "skipped": SKIPPED,
    "own_labels": OWN_LABELS,
    "held_out": HELD_OUT,
    "truth": TRUTH,
    "statements": STATEMENTS,
}
"""The tables by the name of their file."""

ALWAYS = ("studies", "images", "labels", "boxes", "masks", "skipped")
"""Those that every data set has, empty where the source holds nothing of the kind."""

_NOTICE = """The files in this folder were made from the restricted data set {name}. They hold report text and ids.
Do not copy them to where others may read them, and do not send them to a service on the network.
"""


@dataclass(frozen=True)
class Dataset:
    """What was read from a source.

    Attributes:
        tables: by the names of :data:`TABLES`.
        counts: the reader's own counts, step by step; those of the tables are added on writing.
        sources: sha256 of the files that were read, by name.
    """

    tables: dict[str, pl.DataFrame]
    counts: dict[str, Any]
    sources: dict[str, str] = field(default_factory=dict)


def write_dataset(dataset: Dataset, folder: Path, card: Card) -> dict[str, Any]:
    """Write tables, counts.json and card.json into `folder`; of a restricted set all is private to its owner.

    Args:
        card: without files, sources and counts, which are filled in here.

    Returns:
        The counts.
    """
    mode = PRIVATE if card.share == "restricted" else None
    for name in ALWAYS:
        write_table(dataset.tables.get(name, TABLES[name].empty()), folder / f"{name}.parquet", TABLES[name])
    for name in set(dataset.tables) - set(ALWAYS):
        write_table(dataset.tables[name], folder / f"{name}.parquet", TABLES[name])
    counts = {**dataset.counts, **count(dataset.tables)}
    write_json(counts, folder / "counts.json", mode)
    files = {file.name: sha256_of(file) for file in sorted(folder.glob("*.parquet"))}
    filled = card.model_copy(update={"sources": dataset.sources, "files": files, "counts": counts})
    write_json(filled.model_dump(), folder / "card.json", mode)
    if card.share == "restricted":
        write_text(_NOTICE.format(name=card.name), folder / "NOTICE.txt", mode)
    return counts


def count(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Numbers of studies, images and patients, whole and by split, and of images by view."""
    studies, images = tables["studies"], tables["images"]
    with_image = studies["study_id"].is_in(images["study_id"].implode()) if len(images) else pl.Series([False])
    has_text = studies["text"] != ""
    by_split = {
        split: {
            "studies": len(part := studies.filter(split=split)),
            "images": len(images.filter(split=split)),
            "patients": part["patient_id"].n_unique(),
            "with_text": len(part.filter(pl.col("text") != "")),
        }
        for split in SPLITS
    }
    return {
        "studies": len(studies),
        "images": len(images),
        "patients": studies["patient_id"].n_unique(),
        "with_text": int(has_text.sum()),
        "image_only": int((with_image & ~has_text).sum()),
        "text_only": int((has_text & ~with_image).sum()),
        "splits": by_split,
        "views": dict(sorted(images["view"].value_counts().iter_rows())),
    }


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
