"""What one training step sees: images and texts with their soft label vectors, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """N images and M texts. In a paired batch N = M; in a decoupled one they are drawn apart and need not be equal.

    Attributes:
        pixels: [N, 1, H, W] uint8 grey levels; objectives see them as float32, standardised as the model asks.
        image_ids: N image ids, for error messages and caches.
        image_targets: [N, L] float32 soft label vectors, in the order of ``OBSERVATIONS``; L is 14, or 42 for one-hot
            slots.
        input_ids: [M, W] int64 token ids, padded on the right.
        attention_mask: [M, W] int64, 1 at tokens and 0 at padding.
        text_ids: M text ids, ``<study_id>/<language>``.
        text_targets: [M, L] float32, of the sentences that the sampled text contains.
        languages: M FLORES-200 codes.
        image_study: [N] int64 number of the image's study; images and texts of equal number are true pairs.
        text_study: [M] int64 number of the text's study.
    """

    pixels: Tensor
    image_ids: list[str]
    image_targets: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    text_ids: list[str]
    text_targets: Tensor
    languages: list[str]
    image_study: Tensor
    text_study: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with its tensors on `device`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)
