"""The image tower: any timm model on one grey channel, as a pooled feature and, where asked for, a grid of tokens."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from mmclip.config.models import ImageTower
from mmclip.errors import UserError


class ImageEncoder(nn.Module):
    """A timm backbone without its classifier.

    Args:
        settings: which model, at which size.
        initialise: load timm's pretrained weights if the settings ask for them; false when a saved model follows.

    Raises:
        UserError: timm does not know the model or its options, or the weights are not in the local cache.
    """

    def __init__(self, settings: ImageTower, initialise: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = _create(settings, settings.pretrained and initialise)
        self.width = int(getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features)
        self._channels_last = not fixed_size(settings.name)

    def forward(self, pixels: Tensor, tokens: bool = False) -> tuple[Tensor, Tensor | None]:
        """Encode standardised images.

        Args:
            pixels: [N, 1, size, size].
            tokens: also return the features of the image's regions.

        Returns:
            features [N, width], and [N, R, width] regions in row-major order, or None.
        """
        if self._channels_last:  # what convolutions are fastest in, on CPU and on GPU
            pixels = pixels.to(memory_format=torch.channels_last)  # contiguous() leaves a single channel as it is
        grid = self.backbone.forward_features(pixels)
        pooled: Tensor = self.backbone.forward_head(grid, pre_logits=True)
        return pooled, self._regions(grid) if tokens else None

    def _regions(self, grid: Tensor) -> Tensor:
        if grid.ndim == 3:  # a vision transformer: class and register tokens come first
            regions = grid[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
        elif getattr(self.backbone, "output_fmt", "NCHW") == "NHWC":
            regions = grid.flatten(1, 2)
        else:
            regions = grid.flatten(2).transpose(1, 2)
        if regions.shape[-1] != self.width:
            raise UserError(
                f"model.image.name: {self.settings.name!r} widens its features after pooling "
                f"({regions.shape[-1]} to {self.width}), so it has no image tokens; choose another model"
            )
        return regions


def standardise(pixels: Tensor, settings: ImageTower) -> Tensor:
    """Images as the tower wants them: float32 [N, 1, size, size], standardised.

    Args:
        pixels: uint8 [N, H, W] or [N, 1, H, W] grey levels, which are resized and standardised; or float
            [N, 1, size, size], which is taken to be standardised already.

    Raises:
        ValueError: another shape or type, or floats that look like unstandardised grey levels.
    """
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(1)
    if pixels.ndim != 4 or pixels.shape[1] != 1:
        raise ValueError(f"pixels have shape {tuple(pixels.shape)}; expected [N, H, W] or [N, 1, H, W]")
    if pixels.dtype == torch.uint8:
        levels = pixels.float() / 255
        if levels.shape[-2:] != (settings.size, settings.size):
            levels = nn.functional.interpolate(
                levels, size=(settings.size, settings.size), mode="bilinear", align_corners=False, antialias=True
            )
        return (levels - settings.mean) / settings.std
    if not pixels.is_floating_point() or pixels.shape[-2:] != (settings.size, settings.size):
        raise ValueError(
            f"pixels are {pixels.dtype} {tuple(pixels.shape)}; expected uint8 of any size, "
            f"or standardised floats [N, 1, {settings.size}, {settings.size}]"
        )
    if pixels.numel() and float(pixels.abs().max()) > 30:
        raise ValueError("pixels are floats above 30, so not standardised; pass uint8 grey levels instead")
    return pixels.float()


def fixed_size(name: str) -> bool:
    """Whether the model is built for one input size (transformers are, convolutional networks are not)."""
    config = timm.get_pretrained_cfg(name)
    return bool(config and config.fixed_input_size)


def _create(settings: ImageTower, pretrained: bool) -> Any:
    if not timm.is_model(settings.name):
        near = timm.list_models(f"*{settings.name.split('_')[0]}*")[:3]
        raise UserError(f"model.image.name: timm has no model {settings.name!r}; it has {', '.join(near) or 'others'}")
    options: dict[str, Any] = dict(settings.options)
    if fixed_size(settings.name):
        options["img_size"] = settings.size
    try:
        return timm.create_model(settings.name, pretrained=pretrained, in_chans=1, num_classes=0, **options)
    except TypeError as error:
        raise UserError(f"model.image.options: {settings.name} refuses them ({str(error).splitlines()[0]})") from error
    except Exception as error:
        if not pretrained:
            raise
        raise UserError(
            f"model.image.pretrained: no weights of {settings.name!r} in the local hub cache; "
            "fetch them with network access or set pretrained to false"
        ) from error
