"""What training reads: the studies and images of the ingested data sets, and the notes on their cards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mmclip.config.training import Optimisation
from mmclip.tables.card import read_card
from mmclip.tables.files import read_tables
from mmclip.tables.ingest import IMAGES, STUDIES


def read_studies(ingest: Sequence[Path]) -> pl.DataFrame:
    """study_id, language and split of every study of the ingested data sets."""
    return read_tables([folder / "studies.parquet" for folder in ingest], STUDIES).select(
        "study_id", "language", "split"
    )


def read_images(ingest: Sequence[Path], split: str | None = None) -> pl.DataFrame:
    """image_id, study_id, patient_id and split of the images of one split, or of all."""
    images = read_tables([folder / "images.parquet" for folder in ingest], IMAGES)
    chosen = images if split is None else images.filter(pl.col("split") == split)
    return chosen.select("image_id", "study_id", "patient_id", "split")


def data_notes(ingest: Sequence[Path]) -> list[str]:
    """A line on each data set for the model's card: name, licence and note."""
    cards = [read_card(folder / "card.json") for folder in ingest if (folder / "card.json").exists()]
    return [f"{card.name} ({card.licence}): {card.note}" for card in cards]


def count_steps(settings: Optimisation, steps_per_epoch: float) -> int:
    """Optimiser steps of a run: as given, or as many as the epochs need."""
    return settings.steps or max(1, math.ceil((settings.epochs or 0) * steps_per_epoch))


def input_files(folders: Sequence[Path], *names: str) -> list[Path]:
    """The files of these names that lie in the folders, for the digest of a run."""
    return [folder / name for folder in folders for name in names if (folder / name).exists()]
