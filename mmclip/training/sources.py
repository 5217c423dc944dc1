"""What training reads of the ingested data sets: their studies and images."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.config.training import Optimisation, TextMix
from mmclip.data.corpus import Corpus
from mmclip.data.randomness import generator
from mmclip.data.sampler import choose_sentences
from mmclip.model_files import model_files
from mmclip.tables.files import read_tables
from mmclip.tables.ingest import IMAGES, STUDIES

log = logging.getLogger("mmclip.training")

COUNTED = 200_000


def read_studies(ingest: Sequence[Path]) -> pl.DataFrame:
    """study_id, language, split and source (data set) of every study of the ingested data sets."""
    return read_tables([folder / "studies.parquet" for folder in ingest], STUDIES).select(
        "study_id", "language", "split", "source"
    )


def read_images(ingest: Sequence[Path], views: Sequence[str], split: str | None = None) -> pl.DataFrame:
    """image_id, study_id, patient_id and split of the images of some views, of one split or of all.

    How many images of other views there are is logged.
    """
    images = read_tables([folder / "images.parquet" for folder in ingest], IMAGES)
    chosen = images if split is None else images.filter(pl.col("split") == split)
    kept = chosen.filter(pl.col("view").is_in(list(views)))
    if len(kept) < len(chosen):
        others = chosen.filter(~pl.col("view").is_in(list(views)))["view"].value_counts(sort=True)
        log.info(
            "%d of %d images%s are of views that data.views does not name, and left out: %s",
            len(chosen) - len(kept),
            len(chosen),
            "" if split is None else f" of split {split}",
            ", ".join(f"{count} {view}" for view, count in others.iter_rows()),
        )
    return kept.select("image_id", "study_id", "patient_id", "split")


def cut_texts(corpus: Corpus, mix: TextMix, seed: int) -> dict[str, float]:
    """The share of texts that are cut at the token limit, by language, each showing as much as `mix` draws.

    Of all texts once, or of :data:`COUNTED` that are drawn at random.
    """
    texts = np.sort(generator(seed, "cut texts").permutation(len(corpus))[:COUNTED])
    return corpus.cut(texts, *choose_sentences(corpus.counts(texts), mix, seed, "cut sentences"))


def cut_notes(cut: dict[str, float], limit: int) -> str:
    """A line on the texts that are longer than the token limit, the languages with the most of them first.

    Args:
        cut: language -> share, as :func:`cut_texts` gives.
        limit: in tokens.
    """
    some = sorted((share, code) for code, share in cut.items() if share)[::-1]
    found = ", ".join(f"{code} {share:.1%}" for share, code in some) or "none"
    return f"texts cut at {limit} tokens: {found}"


def count_steps(settings: Optimisation, steps_per_epoch: float) -> int:
    """Optimiser steps of a run: as given, or as many as the epochs need."""
    return settings.steps or max(1, math.ceil((settings.epochs or 0) * steps_per_epoch))


def tower_files(model: ModelSettings, text_model: Path | None = None) -> list[Path]:
    """The files of the folders that the towers start from, for the digest of a run; a hub's name stands for itself.

    Args:
        text_model: the folder of the text tower, where it is not the settings'.
    """
    return [
        *image_tower_files(model.image),
        *(folder_files(text_model) if text_model else text_tower_files(model.text)),
    ]


def image_tower_files(tower: ImageTower) -> list[Path]:
    """The files of the folder that an image tower comes from, if it does."""
    return folder_files(Path(tower.name)) if tower.library == "hugging_face" else []


def text_tower_files(tower: TextTower) -> list[Path]:
    """The files of the folder that a text tower comes from, if it does."""
    return folder_files(Path(tower.name)) if tower.kind == "pretrained" else []


def folder_files(folder: Path) -> list[Path]:
    """The files of a model's folder that decide what it computes; none where there is no such folder."""
    return model_files(folder) if folder.is_dir() else []


def input_files(folders: Sequence[Path], *names: str) -> list[Path]:
    """The files of these names that lie in the folders, for the digest of a run."""
    return [folder / name for folder in folders for name in names if (folder / name).exists()]
