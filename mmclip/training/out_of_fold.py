"""Which classifier may learn from an image, which ones predict it, and what becomes of their log-odds."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from mmclip.config.training import Classify
from mmclip.data.ragged import Ints, Vectors
from mmclip.observations import COLUMNS
from mmclip.training.calibration import fit_temperatures
from mmclip.training.classify import fold_of

log = logging.getLogger("mmclip.training")

LEARNED = -1
"""The fold that every training image is in where the predictions are in-sample: no classifier leaves it out."""


def deal(images: pl.DataFrame, settings: Classify) -> pl.DataFrame:
    """The images with `fitted`, whether classifiers may learn from them, and the `fold` of their patient.

    Patients with an image of another split than training, those of the benchmarks among them, are never fitted.
    """
    held_out = images.filter(pl.col("split") != "train")["patient_id"].unique()
    of_training = pl.col("split") == "train"
    marked = images.with_columns(fitted=of_training & ~pl.col("patient_id").is_in(held_out.implode()))
    both = len(marked.filter(of_training & ~pl.col("fitted")))
    if both:
        log.warning("%d training images are of patients with images of another split, and are not learned from", both)
    if settings.release == "in_sample":
        return marked.with_columns(fold=pl.lit(LEARNED, pl.Int64))
    folds = [fold_of(patient, settings.folds) for patient in images["patient_id"]]
    return marked.with_columns(fold=pl.Series(folds, dtype=pl.Int64))


@dataclass(frozen=True)
class Predicted:
    """What the classifiers say of the images.

    Attributes:
        images: as :func:`deal` gives them.
        logits: [classifiers, images, 14] log-odds, NaN where a classifier does not predict an image.
    """

    images: pl.DataFrame
    logits: Vectors

    @classmethod
    def nothing(cls, images: pl.DataFrame, classifiers: int) -> Predicted:
        """Before the first classifier; each fills its rows of `logits`."""
        return cls(images, np.full((classifiers, len(images), len(COLUMNS)), np.nan, np.float32))

    def rows(self, number: int) -> Ints:
        """The images that a classifier predicts: those of its fold, and those that none was trained on."""
        wanted = ~self.images["fitted"] | self.images["fold"].is_in([number, LEARNED])
        return np.flatnonzero(wanted.to_numpy())

    def temperatures(self, labelled: pl.DataFrame, classes: npt.NDArray[np.int64]) -> Vectors:
        """[classifiers, 14]: of each, fitted on the images that the other classifiers left out, by what these say.

        Args:
            labelled: the images with labels, all of them fitted.
            classes: [n, 14] as of :func:`mmclip.training.classify.class_targets`.
        """
        place = pl.DataFrame({"image_id": self.images["image_id"], "row": np.arange(len(self.images))})
        rows = labelled.select("image_id").join(place, on="image_id", how="left", maintain_order="left")["row"]
        fold = labelled["fold"].to_numpy()
        out_of_fold = self.logits[fold, rows.to_numpy()]
        others = [fold != number for number in range(len(self.logits))]
        return np.stack([fit_temperatures(out_of_fold[other], classes[other]) for other in others])

    def probabilities(self, temperatures: Vectors) -> Vectors:
        """[images, 14]: the mean over the classifiers that predict an image."""
        total, count = np.zeros(self.logits.shape[1:], np.float32), np.zeros((len(self.images), 1), np.float32)
        for number, (logits, temperature) in enumerate(zip(self.logits, temperatures, strict=True)):
            rows = self.rows(number)
            total[rows] += torch.sigmoid(torch.from_numpy(logits[rows] / temperature)).numpy()
            count[rows] += 1
        mean: Vectors = total / count
        return mean
