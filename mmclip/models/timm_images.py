"""Image towers of timm, built for one grey channel."""

from __future__ import annotations

from typing import Any

import timm
from huggingface_hub import try_to_load_from_cache
from torch import Tensor

from mmclip.config.models import ImageTower
from mmclip.errors import UserError

OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Where a tower's weights lie if open_clip's authors published it; beside them may lie those of another format."""


def create(settings: ImageTower, pretrained: bool) -> Any:
    """A timm model without its classifier.

    Published weights come from the local cache as safetensors: no pickle is opened, and nothing is downloaded.

    Raises:
        UserError: timm does not know the model or its options, or the weights are not in the local cache.
    """
    if not timm.is_model(settings.name):
        near = timm.list_models(f"*{settings.name.split('_')[0]}*")[:3]
        raise UserError(f"model.image.name: timm has no model {settings.name!r}; it has {', '.join(near) or 'others'}")
    overlay = {"file": _cached_weights(settings.name), "custom_load": False} if pretrained else None
    try:
        return timm.create_model(
            settings.name,
            pretrained=pretrained,
            pretrained_cfg_overlay=overlay,
            **arguments(settings, channels=1),
        )
    except TypeError as error:
        raise UserError(f"model.image.options: {settings.name} refuses them ({str(error).splitlines()[0]})") from error
    except Exception as error:
        if not pretrained:
            raise
        raise UserError(
            f"model.image.pretrained: the weights of {settings.name!r} in the local hub cache do not fit the settings "
            f"({(str(error) or type(error).__name__).splitlines()[0]}); fetch them again, or set pretrained to false"
        ) from error


def _cached_weights(name: str) -> str:
    """The safetensors file of a model's published weights in the local hub cache.

    Raises:
        UserError: nobody published weights that timm knows, or they are not there.
    """
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise UserError(
            f"model.image.pretrained: timm knows no weights of {name!r} on the hub; set pretrained to false"
        )
    repository, _, revision = config.hf_hub_id.partition("@")
    for file in OPEN_CLIP_WEIGHTS if config.hf_hub_filename else ("model.safetensors",):
        found = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(found, str):
            return found
    raise UserError(
        f"model.image.pretrained: no safetensors weights of {name!r} in the local hub cache; run `mmclip fetch "
        f"{repository}` where there is a network, or set pretrained to false"
    )


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
