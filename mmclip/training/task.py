"""What the training loop needs to know of a task: alignment, classification or language modelling."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """A batch can move to a device."""

    def to(self, device: Any) -> Any: ...


class Task(Protocol):
    """Something to train.

    Attributes:
        name: for logs.
        module: everything that is trained and checkpointed. Called with (batch, step) it returns a dict of scalars,
            alike on every rank; the total loss is the sum of the entries ending in ``_loss``, and its gradients add
            up over the ranks.
    """

    name: str
    module: nn.Module

    def batch(self, step: int) -> Any:
        """This rank's part of a step's batch: a pure function of the step."""

    def ids(self, batch: Any) -> list[str]:
        """Ids of what is in a batch, for error messages."""

    def after_step(self) -> None:
        """What has to hold after each optimiser step."""

    def validate(self) -> dict[str, float]:
        """Measures on the validation split; empty where there are none."""


def total_loss(entries: dict[str, Tensor]) -> Tensor:
    """The sum of the entries that end in ``_loss``."""
    return torch.stack([value for name, value in entries.items() if name.endswith("_loss")]).sum()
