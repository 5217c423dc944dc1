"""The image tower: any model of timm or Hugging Face on grey images, as a pooled feature and a grid of tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmclip.config.models import ImageTower
from mmclip.errors import UserError
from mmclip.models import hugging_face_images, timm_images
from mmclip.models.layers import checkpoint_activations, freeze, keep_statistics


class ImageEncoder(nn.Module):
    """A backbone without its classifier.

    Args:
        settings: which model, at which size.
        initialise: load published weights if the settings ask for them; false when a saved model follows.
        config: Hugging Face's configuration of a saved tower; without it, that of the named model.

    Raises:
        UserError: there is no such model, it refuses its options, or its weights are not in the local cache.
    """

    def __init__(self, settings: ImageTower, initialise: bool = True, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.settings = settings
        pretrained = settings.pretrained and initialise
        self.backbone: Any
        if settings.library == "hugging_face":
            self.backbone = hugging_face_images.create(settings, pretrained, config)
            self.width = hugging_face_images.width(self.backbone)
            self._channels_last = False
        else:
            self.backbone = timm_images.create(settings, pretrained)
            self.width = timm_images.width(self.backbone)
            self._channels_last = not timm_images.fixed_size(settings.name)

    def prepare_training(self) -> None:
        """Freeze layers and compute activations again, as the settings say.

        Raises:
            UserError: the tower has fewer layers, or cannot.
        """
        freeze(self.backbone, self.settings.frozen_layers, "model.image.frozen_layers")
        if self.settings.checkpointing:
            checkpoint_activations(self.backbone, "model.image.checkpointing")

    def train(self, mode: bool = True) -> ImageEncoder:
        """Training or evaluation mode; the batch statistics of frozen layers are kept in both."""
        super().train(mode)
        if mode:
            keep_statistics(self.backbone)
        return self

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
        library = hugging_face_images if self.settings.library == "hugging_face" else timm_images
        pooled, regions = library.features(self.backbone, pixels)
        if tokens and regions.shape[-1] != self.width:
            raise UserError(
                f"model.image.name: {self.settings.name!r} widens its features after pooling "
                f"({regions.shape[-1]} to {self.width}), so it has no image tokens; choose another model"
            )
        return pooled, regions if tokens else None


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
