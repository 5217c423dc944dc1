"""Fine-tuning of the image tower with a linear head; the validation split chooses the epoch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import standardise

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Images that are read when they are needed: a training split need not fit into memory.

    Attributes:
        read: numbers of images [m] -> uint8 [m, H, W].
        labels: [n] class numbers.
    """

    read: Callable[[Rows], NDArray[np.uint8]]
    labels: NDArray[np.int64]


def fine_tune(
    model: DualEncoder,
    train: Split,
    val: Split,
    test: Split,
    classes: int,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
) -> NDArray[np.float32]:
    """[n, classes] probabilities of the test images after fine-tuning the whole image tower; `model` stays as it is.

    AdamW with cosine decay; the epoch of the highest accuracy on val is the one that scores the test images, whose
    labels are never looked at.
    """
    torch.manual_seed(seed)
    device = model.log_logit_scale.device
    tower = copy.deepcopy(model.image)
    head = nn.Linear(tower.width, classes).to(device)
    optimiser = torch.optim.AdamW([*tower.parameters(), *head.parameters()], lr=learning_rate)
    steps = epochs * max(1, len(_batches(np.arange(len(train.labels)), batch_size)))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def logits(split: Split, rows: Rows) -> Tensor:
        pixels = standardise(torch.as_tensor(split.read(rows)).to(device), model.settings.image)
        out: Tensor = head(tower(pixels)[0])
        return out

    def predict(split: Split) -> NDArray[np.float32]:
        tower.eval()
        rows = np.arange(len(split.labels))
        with torch.inference_mode():
            parts = [logits(split, rows[start : start + 256]).softmax(1).cpu() for start in range(0, len(rows), 256)]
        return torch.cat(parts).numpy()

    best, kept = -1.0, predict(test)
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        tower.train()
        for rows in _batches(generator.permutation(len(train.labels)), batch_size):
            target = torch.as_tensor(train.labels[rows]).to(device)
            loss = nn.functional.cross_entropy(logits(train, rows), target)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        score = float((predict(val).argmax(1) == val.labels).mean())
        if score > best:
            best, kept = score, predict(test)
    return kept


def _batches(order: Rows, size: int) -> list[Rows]:
    """Consecutive batches; a last one of a single image is left out, since batch norm needs two."""
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    return [part for part in parts if len(part) > 1]
