"""Label classifiers: settings and files in, out-of-fold predictions of every image out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from mmclip.config.training import ExperimentSettings
from mmclip.data.packed import PackedImages
from mmclip.data.ragged import Vectors
from mmclip.errors import UserError
from mmclip.observations import COLUMNS, PRESENT
from mmclip.tables.files import read_tables, write_table
from mmclip.tables.labeling import LABELS, PREDICTIONS
from mmclip.training.checkpoint import Checkpoints, run_digest
from mmclip.training.classify import ClassifyTask, fold_of, image_labels, predict
from mmclip.training.distributed import World, barrier, join_world
from mmclip.training.loop import train
from mmclip.training.sources import count_steps, input_files, read_images

log = logging.getLogger("mmclip.training")


def predict_labels(
    settings: ExperimentSettings,
    ingest: Sequence[Path],
    packs: Sequence[Path],
    labels: Sequence[Path],
    output: Path,
    checkpoints: Path,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train one classifier a fold on the training split, and predict every image.

    A training image is predicted by the classifier that never saw its patient; an image of another split by the mean
    of all. An observation that no training image has is not predicted.

    Args:
        settings: of an experiment with task classify.
        ingest: folders of the data sets, with images.parquet.
        packs: folders of the packed data sets.
        labels: LABELS tables, of images or studies.
        output: PREDICTIONS table to write.
        checkpoints: folder of checkpoints; a stopped run goes on from there.
        threads: CPU threads, where the settings leave it open.

    Returns:
        a summary: images, folds, steps, predicted observations.

    Raises:
        UserError: the labels fit no image, or training diverges or is stopped.
    """
    if settings.task != "classify":
        raise UserError(f"task: {settings.task!r} is not trained by predict-labels, which does classify")
    if threads is not None:
        torch.set_num_threads(threads)
    folds = settings.classify.folds
    with join_world() as world:
        pixels = PackedImages(packs)
        images = pixels.known(read_images(ingest))
        fold = np.array([fold_of(patient, folds) for patient in images["patient_id"]])
        training = (images["split"] == "train").to_numpy()
        labelled = image_labels(images.filter(pl.col("split") == "train"), read_tables(list(labels), LABELS))
        if not len(labelled):
            raise UserError("labels: none of the training images, nor its study, has a label; check the label files")
        inputs = [*input_files(ingest, "images.parquet"), *input_files(packs, "index.parquet"), *labels]
        total = np.zeros((len(images), len(COLUMNS)), np.float32)
        for number in range(folds):
            own = pl.Series([fold_of(patient, folds) != number for patient in labelled["patient_id"]], dtype=pl.Boolean)
            store = Checkpoints(checkpoints, run_digest(settings, inputs, f"fold {number}"), settings.saving.keep)
            task, steps = _train_fold(settings, labelled.filter(own), pixels, number, store, world)
            rows = np.flatnonzero(~training | (fold == number))
            chosen = images["image_id"].gather(rows).to_list()
            total[rows] += predict(task.module.model, pixels, chosen) / np.where(training[rows], 1, folds)[:, None]
        frame = _table(images, total, labelled)
        if world.rank == 0:
            write_table(frame, output, PREDICTIONS)
        barrier()
    predicted = [name for name in COLUMNS if frame[name].null_count() < len(frame)]
    return {"images": len(images), "folds": folds, "steps": steps, "observations": predicted}


def _train_fold(
    settings: ExperimentSettings,
    labelled: pl.DataFrame,
    pixels: PackedImages,
    number: int,
    store: Checkpoints,
    world: World,
) -> tuple[ClassifyTask, int]:
    if not len(labelled):
        raise UserError(f"classify.folds: fold {number + 1} leaves no training image; use fewer folds")
    task = ClassifyTask(settings, labelled, pixels, number, world)
    steps = count_steps(settings.optimisation, len(labelled) / settings.optimisation.batch_size)
    log.info("%s: %d images, %d steps of %d", task.name, len(labelled), steps, settings.optimisation.batch_size)
    train(task, settings.optimisation, settings.saving, steps, settings.seed, store, world)
    return task, steps


def _table(images: pl.DataFrame, values: Vectors, labelled: pl.DataFrame) -> pl.DataFrame:
    """The predictions, null for an observation that no training image has."""
    columns = {
        name: pl.Series(name, values[:, number])
        if (labelled[name] == PRESENT).any()
        else pl.Series(name, [None] * len(images), dtype=pl.Float32)
        for number, name in enumerate(COLUMNS)
    }
    return images.select("image_id", "study_id").with_columns(columns.values())
