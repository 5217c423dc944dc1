"""The moving average of a model's weights, which often scores better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmclip.models.weights import own_tensors


class Average:
    r"""Exponential moving average of parameters and floating-point buffers; integer buffers are those of now.

    After step t (from 1) the average moves by the share :math:`1 - \min(d, t / (t + 9))` towards the weights, so that
    the random first weights are forgotten early, however near the decay d is to 1.

    Args:
        module: whose weights are averaged; it must be where it will be trained.
        decay: d.

    Attributes:
        tensors: the average, by the names of the module's state.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._current = own_tensors(module)
        self.tensors = {name: tensor.detach().clone() for name, tensor in self._current.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the weights after `steps` optimiser steps."""
        share = 1 - min(self.decay, steps / (steps + 9))
        for name, current in self._current.items():
            if current.is_floating_point():
                self.tensors[name].lerp_(current, share)
            else:
                self.tensors[name].copy_(current)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a saved average of the same module."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the module have the average as its weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchange the module's weights and the average."""
        for name, current in self._current.items():
            current.data, self.tensors[name] = self.tensors[name], current.data
