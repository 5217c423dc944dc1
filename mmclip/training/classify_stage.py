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
from mmclip.data.labels import first_source, image_labels
from mmclip.data.packed import PackedImages
from mmclip.data.ragged import Vectors
from mmclip.errors import UserError
from mmclip.observations import COLUMNS, PRESENT
from mmclip.tables.files import read_tables, write_table
from mmclip.tables.labeling import LABELS, PREDICTIONS
from mmclip.training.checkpoint import Checkpoints, run_digest
from mmclip.training.classify import ClassifyTask, class_targets, presence_logits
from mmclip.training.distributed import World, barrier, join_world
from mmclip.training.loop import train
from mmclip.training.out_of_fold import Predicted, deal
from mmclip.training.sources import count_steps, image_tower_files, input_files, read_images

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
    """Train one classifier a fold on the training split, and predict every image of the views that `data.views` names.

    A training image is predicted by the classifier that never saw its patient; any other image by the mean of all.
    Patients with an image of another split, those of the benchmarks among them, are never fitted. An observation that
    no training image has is not predicted.

    A classifier's log-odds are divided by a temperature for each observation, so that a probability of 0.7 is right
    seven times of ten. It is fitted on what the other classifiers say of the folds that they left out: so the labels
    of a fold count neither in the classifier nor in the temperature that predict it. (They took part in training the
    classifiers whose errors the temperature is fitted on: one number an observation, which cannot remember a patient.)

    With ``release: in_sample`` one classifier learns from all training images and predicts them too, without a
    temperature, since no image is left that it could be fitted on.

    Args:
        settings: of an experiment with task classify.
        ingest: folders of the data sets: their images.parquet, and labels.parquet where they have labels.
        packs: folders of the packed data sets.
        labels: LABELS of the label stage.
        output: PREDICTIONS table to write.
        checkpoints: folder of checkpoints; a stopped run goes on from there.
        threads: CPU threads, where the settings leave it open.

    Returns:
        a summary: images, folds, steps, predicted observations, and their temperatures (the mean over the folds).

    Raises:
        UserError: the labels fit no image, or training diverges or is stopped.
    """
    if settings.task != "classify":
        raise UserError(f"task: {settings.task!r} is not trained by predict-labels, which does classify")
    if threads is not None:
        torch.set_num_threads(threads)
    classifiers = settings.classify.folds if settings.classify.release == "out_of_fold" else 1
    with join_world() as world:
        pixels = PackedImages(packs)
        images = deal(pixels.known(read_images(ingest, settings.data.views)), settings.classify)
        label_files = [*labels, *input_files(ingest, "labels.parquet")]
        chosen_labels = first_source(read_tables(label_files, LABELS), settings.classify.label_sources)
        labelled = image_labels(images.filter("fitted"), chosen_labels)
        if not len(labelled):
            raise UserError("labels: none of the training images, nor its study, has a label; check the label files")
        inputs = [*input_files(ingest, "images.parquet"), *input_files(packs, "index.parquet"), *label_files]
        inputs += image_tower_files(settings.model.image)
        predicted, steps = Predicted.nothing(images, classifiers), 0
        for number in range(classifiers):
            store = Checkpoints(checkpoints, run_digest(settings, inputs, f"fold {number}"), settings.saving.keep)
            part = labelled.filter(pl.col("fold") != number)
            task, steps = _train_fold(settings, part, pixels, number, store, world)
            rows = predicted.rows(number)
            chosen = images["image_id"].gather(rows).to_list()
            predicted.logits[number][rows] = presence_logits(task.module.model, pixels, chosen)
        temperatures = np.ones((classifiers, len(COLUMNS)), np.float32)
        if settings.classify.release == "out_of_fold":
            temperatures = predicted.temperatures(labelled, class_targets(labelled, settings.classify))
        frame = _table(images, predicted.probabilities(temperatures), labelled)
        if world.rank == 0:
            write_table(frame, output, PREDICTIONS)
        barrier()
    known = [number for number, name in enumerate(COLUMNS) if frame[name].null_count() < len(frame)]
    return {
        "images": len(images),
        "folds": classifiers,
        "steps": steps,
        "observations": [COLUMNS[number] for number in known],
        "temperatures": {COLUMNS[number]: round(float(temperatures[:, number].mean()), 3) for number in known},
    }


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
    steps = count_steps(settings.optimisation, labelled["study_id"].n_unique() / settings.optimisation.batch_size)
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
