"""Image towers of Hugging Face, as RAD-DINO (a DINOv2), ViT, Swin, ConvNeXt or CLIP's vision model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig

from mmclip.config.models import ImageTower
from mmclip.errors import UserError
from mmclip.models.hugging_face import build, model_class, no_pooler, quiet, stored_config, takes

MASKED = ("vit_mae",)
"""Encoders that leave out a random share of an image's regions, in evaluation too."""


def create(settings: ImageTower, pretrained: bool, config: dict[str, Any] | None = None) -> Any:
    """A Hugging Face image model.

    Args:
        pretrained: with its weights; else fresh.
        config: of a saved model; without it the model's own, from its folder or the local hub cache.

    Raises:
        UserError: it is not there, has no safetensors weights, is no encoder of whole images, or has no such option.
    """
    chosen = stored_config(config) if config else _named(settings)
    encoder = model_class(chosen)
    if chosen.model_type in MASKED:
        raise UserError(
            f"model.image.name: {settings.name!r} is a masked autoencoder ({chosen.model_type}), which drops and "
            "shuffles regions even when it only encodes; save its weights as a plain ViT (ViTModel) and name that"
        )
    if getattr(encoder, "main_input_name", None) != "pixel_values" or hasattr(chosen, "text_config"):
        raise UserError(
            f"model.image.name: {settings.name!r} is a model of type {chosen.model_type!r}, and no encoder of images "
            "alone; give one of DINOv2, ViT, Swin, ConvNeXt …"
        )
    if not pretrained:
        return build(chosen)
    try:
        with quiet():
            return encoder.from_pretrained(
                settings.name,
                config=chosen,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                **no_pooler(encoder),
            )
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.image.pretrained: no safetensors weights of {settings.name!r} in a folder or the local hub cache; "
            "fetch them with network access or set pretrained to false"
        ) from error


def _named(settings: ImageTower) -> Any:
    load: Any = AutoConfig.from_pretrained
    try:
        chosen, unknown = load(
            settings.name,
            local_files_only=True,
            trust_remote_code=False,
            return_unused_kwargs=True,
            **settings.options,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.image.name: no configuration of {settings.name!r} in a folder or the local hub cache (nothing is "
            "downloaded); fetch the model with network access or give a folder"
        ) from error
    if unknown:
        raise UserError(
            f"model.image.options: {settings.name} has no {', '.join(sorted(unknown))}; see its config.json"
        )
    return chosen


def width(backbone: Any) -> int:
    """Of the pooled features."""
    config = backbone.config
    return int(getattr(config, "hidden_size", None) or config.hidden_sizes[-1])


def features(backbone: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled features [N, width] of images [N, 1, size, size], and those of their regions [N, R, width].

    The grey channel is repeated where the model has three. Pooled is what the model itself pools without a pooler's
    weights: the class token (as RAD-DINO's authors use it), or the mean over the regions.
    """
    config = backbone.config
    pixels = pixels.expand(-1, int(getattr(config, "num_channels", 3)), -1, -1)
    stretch = takes(backbone.forward, "interpolate_pos_encoding") and pixels.shape[-1] != config.image_size
    output = backbone(pixels, **({"interpolate_pos_encoding": True} if stretch else {}))
    states: Tensor = output.last_hidden_state
    if states.ndim == 4:
        return output.pooler_output.flatten(1), states.flatten(2).transpose(1, 2)
    first = _prefix(backbone)
    regions = states[:, first:]
    if getattr(output, "pooler_output", None) is not None:
        return output.pooler_output, regions
    return states[:, 0] if first else regions.mean(dim=1), regions


def _prefix(backbone: Any) -> int:
    """How many tokens come before the regions: a class token and registers."""
    embeddings = getattr(getattr(backbone, "vision_model", backbone), "embeddings", None)
    has_class = any(hasattr(embeddings, name) for name in ("cls_token", "class_embedding"))
    return int(has_class) + int(getattr(backbone.config, "num_register_tokens", 0))
