"""Fine-tuning of the image tower with a linear head; the validation split chooses the epoch."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import standardise

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


def fine_tune(
    model: DualEncoder,
    train: Split,
    val: Split,
    test: NDArray[np.uint8],
    classes: int,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
) -> NDArray[np.float32]:
    """[n, classes] probabilities of the test images after fine-tuning the whole image tower.

    AdamW with cosine decay; after each epoch the accuracy on val decides whether its weights are kept.

    Args:
        train, val: uint8 images [n, H, W] and class numbers [n].
    """
    torch.manual_seed(seed)
    tower = copy.deepcopy(model.image)
    head = nn.Linear(tower.width, classes)
    settings = model.settings.image
    parameters = [*tower.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate)
    steps = epochs * max(1, -(-len(train[0]) // batch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

    def logits(pixels: NDArray[np.uint8]) -> Tensor:
        out: Tensor = head(tower(standardise(torch.as_tensor(pixels), settings), False)[0])
        return out

    def predict(pixels: NDArray[np.uint8]) -> Tensor:
        tower.eval()
        with torch.inference_mode():
            parts = [logits(pixels[start : start + 256]).softmax(1) for start in range(0, len(pixels), 256)]
        return torch.cat(parts)

    best, kept = -1.0, predict(test)
    generator = np.random.default_rng(seed)
    for _ in range(epochs):
        tower.train()
        order = generator.permutation(len(train[0]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            if len(rows) < 2:  # batch norm needs two
                continue
            loss = nn.functional.cross_entropy(logits(train[0][rows]), torch.as_tensor(train[1][rows]))
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        score = float((predict(val[0]).argmax(1).numpy() == val[1]).mean())
        if score > best:
            best, kept = score, predict(test)
    return kept.numpy().astype(np.float32)
