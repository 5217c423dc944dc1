"""The image tower: how it computes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmclip.config.models import ImageTower
from mmclip.models.image_encoder import ImageEncoder


def test_convolutions_see_channels_last() -> None:
    """One grey channel is contiguous both ways round, so that it takes more than asking for contiguity."""
    encoder = ImageEncoder(ImageTower(name="test_resnet", size=32))
    seen: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output.stride(1) == 1 and output.stride(3) == output.shape[1])

    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(look)
    encoder(torch.randn(4, 1, 64, 64))
    assert len(seen) > 10 and all(seen)
