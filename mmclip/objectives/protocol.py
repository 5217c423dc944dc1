"""What the trainer gives an objective and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from mmclip.data.batch import Batch

Need = Literal["views2", "dropout2", "perturbed_texts", "image_tokens", "text_tokens", "pixels"]
"""What an objective may ask for beyond one embedding of each image and each text."""


@dataclass(frozen=True)
class Features:
    """What the model makes of a batch of N images and M texts. Embeddings have length 1.

    Attributes:
        image: [N, D] image embeddings.
        text: [M, D] text embeddings.
        logit_scale: [] the multiplier of cosines, already exponentiated and clamped.
        image_tokens: [N, R, D] embeddings of image regions, where asked for.
        text_tokens: [M, W, D] embeddings of text tokens, where asked for.
        text_mask: [M, W] bool, true at the tokens that are text, where tokens are asked for.
        views2: [N, D] embeddings of a second augmentation of the images, where asked for.
    """

    image: Tensor
    text: Tensor
    logit_scale: Tensor
    image_tokens: Tensor | None = None
    text_tokens: Tensor | None = None
    text_mask: Tensor | None = None
    views2: Tensor | None = None


class Settings(BaseModel):
    """The parameters of an objective in an experiment file; each objective that has any derives its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Objective(nn.Module):
    """One term of the training loss.

    A subclass says what it `needs`, whether images and texts may be sampled apart (`decoupled`; otherwise the batch
    is paired), which `Settings` it takes, and implements :meth:`forward`. Its parameters and buffers are part of the
    checkpoint. It knows no device, no configuration file and no rank.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    decoupled: ClassVar[bool] = False
    Settings: ClassVar[type[BaseModel]] = Settings

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if unknown := cls.needs - set(get_args(Need)):
            raise TypeError(f"{cls.__name__}.needs: unknown {sorted(unknown)}; known are {', '.join(get_args(Need))}")

    def __init__(self, settings: BaseModel) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, batch: Batch, features: Features, step: int) -> dict[str, Tensor]:
        """Scalars by name: those that end in `_loss` are minimised, the others are logged.

        Args:
            batch: what was sampled.
            features: what the model made of it.
            step: the number of optimiser steps taken so far.
        """
        raise NotImplementedError


def total_loss(entries: Mapping[str, Tensor]) -> Tensor:
    """The sum of the entries that end in `_loss`; an experiment's weight multiplies it.

    Raises:
        ValueError: there is none.
    """
    losses = [value for name, value in entries.items() if name.endswith("_loss")]
    if not losses:
        raise ValueError(f"no entry ends in _loss: {', '.join(entries) or 'there are none'}")
    return torch.stack(losses).sum()
