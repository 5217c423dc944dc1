"""Label classifiers, trained out of fold, whose predictions replace uncertain labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from mmclip.config.training import Classify, ExperimentSettings
from mmclip.data.augment import augment, plain
from mmclip.data.packed import PackedImages
from mmclip.data.ragged import Vectors
from mmclip.data.randomness import id_hashes
from mmclip.data.sampler import Mixture
from mmclip.data.views import OneView
from mmclip.models.image_encoder import standardise
from mmclip.models.label_classifier import ABSENT_CLASS, PRESENT_CLASS, UNCERTAIN_CLASS, LabelClassifier
from mmclip.observations import ABSENT, COLUMNS, OBSERVATIONS, PRESENT, UNCERTAIN
from mmclip.training.distributed import World, global_mean

IGNORED = -100
"""A class that takes no part in the loss."""


def fold_of(patient_id: str, folds: int) -> int:
    """The fold of a patient: a pure function of the id, so that adding patients never moves old ones."""
    return int.from_bytes(hashlib.sha256(f"fold:{patient_id}".encode()).digest()[:8], "big") % folds


def class_targets(labels: pl.DataFrame, settings: Classify) -> np.ndarray:
    """Class of each observation, int64 [n, 14]: 0 absent, 1 present, 2 uncertain, -100 not used.

    Args:
        labels: a column for each observation: 1, 0, -1 or null.
    """
    values = labels.select(pl.col(name).cast(pl.Float32) for name in COLUMNS).to_numpy()
    blank = ABSENT_CLASS if settings.unmentioned == "absent" else IGNORED
    uncertain = [UNCERTAIN_CLASS if name in settings.multiclass else IGNORED for name in OBSERVATIONS]
    classes = np.full(values.shape, blank, np.int64)
    classes[values == ABSENT] = ABSENT_CLASS
    classes[values == PRESENT] = PRESENT_CLASS
    return np.where(values == UNCERTAIN, np.array(uncertain, np.int64), classes)


@dataclass(frozen=True)
class ClassifyBatch:
    """Images with the class of each observation.

    Attributes:
        pixels: [N, 1, H, W] uint8 grey levels.
        classes: [N, 14] int64.
        image_ids: N ids.
    """

    pixels: Tensor
    classes: Tensor
    image_ids: list[str]

    def to(self, device: torch.device | str) -> ClassifyBatch:
        """The same batch on `device`."""
        return replace(self, pixels=self.pixels.to(device), classes=self.classes.to(device))


class Classifying(nn.Module):
    """The classifier with its loss."""

    def __init__(self, model: LabelClassifier, multiclass: Sequence[str], bf16: bool) -> None:
        super().__init__()
        self.model = model
        self.bf16 = bf16
        two_way = torch.tensor([name not in multiclass for name in OBSERVATIONS])
        self.two_way: Tensor
        self.register_buffer("two_way", two_way, persistent=False)

    def forward(self, batch: ClassifyBatch, step: int) -> dict[str, Tensor]:
        """Cross-entropy, averaged over the observations of images that have a class."""
        with torch.autocast(batch.pixels.device.type, torch.bfloat16, enabled=self.bf16):
            scores = self.model(standardise(batch.pixels, self.model.image.settings))
        unused = torch.zeros_like(scores, dtype=torch.bool)
        unused[..., UNCERTAIN_CLASS] = self.two_way
        losses = nn.functional.cross_entropy(
            scores.masked_fill(unused, float("-inf")).flatten(0, 1),
            batch.classes.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )
        return {"classify_loss": global_mean(losses, (batch.classes != IGNORED).sum())}


class ClassifyTask:
    """Training of one classifier as the loop sees it.

    Args:
        images: image_id, study_id and the 14 label columns of the images to train on; a pass uses one of each study.
        fold: which patients are left out; it names the run and draws its numbers.
    """

    def __init__(
        self, settings: ExperimentSettings, images: pl.DataFrame, packs: PackedImages, fold: int, world: World
    ) -> None:
        self.name = f"classify fold {fold + 1}"
        torch.manual_seed(settings.seed * 1000 + fold)
        bf16 = settings.optimisation.precision == "bf16"
        model = LabelClassifier(settings.model.image)
        self.module: Any = Classifying(model, settings.classify.multiclass, bf16)
        self._settings, self._packs = settings, packs
        self._ids: list[str] = images["image_id"].to_list()
        self._hashes = id_hashes(self._ids)
        self._classes = class_targets(images, settings.classify)
        self._items = OneView(images["study_id"].to_list())
        self._stream = Mixture([len(self._items)], [1.0], settings.seed, f"classify {fold}")
        size = settings.optimisation.batch_size
        self._part = slice(size * world.rank // world.size, size * (world.rank + 1) // world.size)

    def batch(self, step: int) -> ClassifyBatch:
        """This rank's part of the batch of a step."""
        size = self._settings.optimisation.batch_size
        items, rounds = self._stream.take(step * size, size)
        rounds = rounds[self._part]
        images = self._items.draw(items[self._part], rounds, self._settings.seed)
        ids = [self._ids[image] for image in images]
        squares, order = self._packs.read(ids), self._packs.order(ids)
        size, changes = self._settings.model.image.size, self._settings.data.augmentation
        pixels = augment(squares, changes, size, self._settings.seed, self._hashes[images], rounds, order)
        return ClassifyBatch(torch.from_numpy(pixels), torch.from_numpy(self._classes[images]), ids)

    def ids(self, batch: ClassifyBatch) -> list[str]:
        """The image ids of a batch."""
        return batch.image_ids

    def after_step(self) -> None:
        """Nothing has to hold."""

    def validate(self) -> dict[str, float]:
        """Classifiers are judged by their out-of-fold predictions, so nothing here."""
        return {}


def presence_logits(
    model: LabelClassifier, packs: PackedImages, image_ids: Sequence[str], batch_size: int = 256
) -> Vectors:
    """Log-odds that each observation is present in each image, float32 [n, 14]."""
    model.eval()
    device = next(model.parameters()).device
    parts = [np.empty((0, len(OBSERVATIONS)), np.float32)]
    for start in range(0, len(image_ids), batch_size):
        squares = plain(packs.read(image_ids[start : start + batch_size]), model.image.settings.size)
        pixels = standardise(torch.from_numpy(squares).to(device), model.image.settings)
        parts.append(model.presence_logits(pixels).cpu().numpy())
    return np.concatenate(parts)
