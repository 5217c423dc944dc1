"""From a tower's features to the shared space."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Projection(nn.Module):
    """A linear map without bias, then to length 1 (as in CLIP and MedCLIP)."""

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dimensions, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors [..., dimensions] of features [..., width], in float32 (float64 for a float64 model)."""
        projected: Tensor = self.linear(features)
        return nn.functional.normalize(projected.to(torch.promote_types(projected.dtype, torch.float32)), dim=-1)
