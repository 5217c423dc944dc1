"""Image towers of timm, built for one grey channel."""

from __future__ import annotations

from typing import Any

import timm
from torch import Tensor

from mmclip.config.models import ImageTower
from mmclip.errors import UserError


def create(settings: ImageTower, pretrained: bool) -> Any:
    """A timm model without its classifier.

    Raises:
        UserError: timm does not know the model or its options, or the weights are not in the local cache.
    """
    if not timm.is_model(settings.name):
        near = timm.list_models(f"*{settings.name.split('_')[0]}*")[:3]
        raise UserError(f"model.image.name: timm has no model {settings.name!r}; it has {', '.join(near) or 'others'}")
    try:
        return timm.create_model(settings.name, pretrained=pretrained, **arguments(settings, channels=1))
    except TypeError as error:
        raise UserError(f"model.image.options: {settings.name} refuses them ({str(error).splitlines()[0]})") from error
    except Exception as error:
        if not pretrained:
            raise
        raise UserError(
            f"model.image.pretrained: no weights of {settings.name!r} in the local hub cache; "
            "fetch them with network access or set pretrained to false"
        ) from error


def arguments(settings: ImageTower, channels: int) -> dict[str, Any]:
    """What ``timm.create_model`` is given beside the name."""
    size = {"img_size": settings.size} if fixed_size(settings.name) else {}
    return {**settings.options, **size, "in_chans": channels, "num_classes": 0}


def fixed_size(name: str) -> bool:
    """Whether the model is built for one input size (transformers are, convolutional networks are not)."""
    config = timm.get_pretrained_cfg(name)
    return bool(config and config.fixed_input_size)


def width(backbone: Any) -> int:
    """Of the pooled features."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)


def features(backbone: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled features [N, width] of images [N, 1, size, size], and those of their regions [N, R, channels]."""
    grid = backbone.forward_features(pixels)
    pooled: Tensor = backbone.forward_head(grid, pre_logits=True)
    if grid.ndim == 3:  # a vision transformer: class and register tokens come first
        return pooled, grid[:, getattr(backbone, "num_prefix_tokens", 0) :]
    if getattr(backbone, "output_fmt", "NCHW") == "NHWC":
        return pooled, grid.flatten(1, 2)
    return pooled, grid.flatten(2).transpose(1, 2)


def local_config(settings: ImageTower, features: int, channels: int) -> dict[str, Any]:
    """The architecture as timm reads it from config.json of a folder (``local-dir:``)."""
    return {
        "architecture": settings.name.split(".")[0],  # without the tag of pretrained weights
        "num_classes": 0,
        "num_features": features,
        "model_args": arguments(settings, channels),
        "pretrained_cfg": {
            "input_size": [channels, settings.size, settings.size],
            "fixed_input_size": fixed_size(settings.name),
            "num_classes": 0,
            "mean": [settings.mean] * channels,
            "std": [settings.std] * channels,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
        },
    }
