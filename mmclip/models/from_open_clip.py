"""A model of open_clip as a folder of mmclip: the way back from :mod:`mmclip.models.export`.

mmclip's dual encoder is a timm or Hugging Face image tower on one grey channel and a Hugging Face encoder averaged over
its tokens, each with a linear projection without bias. What open_clip builds so can come back; the rest is refused.

* The first convolution over three equal channels becomes one over one channel: its weights are added up. Where mean
  and standard deviation differ between the channels, that is folded into weights and bias, which a convolution with
  padding does not allow.
* Images are resized as mmclip does it; embeddings are equal for images that have the model's size.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from transformers import AutoConfig

from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.errors import UserError
from mmclip.models import timm_images
from mmclip.models.card import CARD, ModelCard, read_card
from mmclip.models.dual_encoder import LOGIT_SCALE_MAX, DualEncoder
from mmclip.models.export import CONFIG, WEIGHTS
from mmclip.models.image_encoder import ImageEncoder
from mmclip.models.text_encoder import TextEncoder, backbone_from_config
from mmclip.models.tokenizer import framed, load_tokenizer, plain_ids
from mmclip.models.weights import fill, read_tensors

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""open_clip's, where a configuration names none."""
WANTED = {
    "vision_cfg": {"timm_proj": "linear", "timm_pool": ""},
    "text_cfg": {"hf_proj_type": "linear", "hf_pooler_type": "mean_pooler"},
}
"""What mmclip has a counterpart for; ``timm_pool: ""`` is the network's own pooling."""
SAMPLE = "No pleural effusion; the heart is not enlarged."


def import_open_clip(folder: Path, output: Path) -> None:
    """Write a model of open_clip as a folder of mmclip.

    Args:
        folder: open_clip_config.json, open_clip_model.safetensors and the tokenizer. The configurations of towers
            that it names are read from where it says, from its own ``image/`` and ``text/``, or the local hub cache.
        output: the folder to write, which is replaced.

    Raises:
        UserError: `folder` is no such folder, a part is missing, or mmclip has no counterpart for the architecture.
    """
    config = _read(folder / CONFIG)
    model, where = config.get("model_cfg", {}), f"{folder / CONFIG}: model_cfg"
    for section, wanted in WANTED.items():
        for key, value in wanted.items():
            if model.get(section, {}).get(key) != value:
                found = model.get(section, {}).get(key)
                raise UserError(f"{where}.{section}.{key}: {found!r}, and mmclip has a counterpart only for {value!r}")
    tensors = read_tensors(folder / WEIGHTS)
    preprocess = config.get("preprocess_cfg", {})
    means, stds = preprocess.get("mean", MEAN), preprocess.get("std", STD)
    image = _image_settings(model["vision_cfg"], folder, sum(means) / 3, sum(stds) / 3)
    text_config = _text_config(model["text_cfg"], folder)
    settings = ModelSettings(
        image=image,
        text=TextTower(
            kind="pretrained",
            name=str(model["text_cfg"]["hf_model_name"]),
            max_tokens=int(model["text_cfg"].get("context_length", 77)),
        ),
        projection=int(model["embed_dim"]),
    )
    tokenizer = load_tokenizer(folder)
    if text_config["pad_token_id"] != tokenizer.pad_token_id:
        raise UserError(f"{folder}: text tower and tokenizer have different padding ids, so open_clip masks otherwise")
    _check_frame(tokenizer, settings.text.max_tokens, folder)
    text = TextEncoder(backbone_from_config(text_config))
    encoder = DualEncoder(settings, ImageEncoder(image, initialise=False), text, tokenizer)
    path = folder / WEIGHTS
    tensors.pop("text.transformer.embeddings.position_ids", None)  # stored by older libraries
    _fill_image(encoder.image, _below(tensors, "visual.trunk."), means, stds, path)
    for module, prefix in (
        (encoder.image_projection.linear, "visual.head.proj."),
        (text.backbone, "text.transformer."),
        (encoder.text_projection.linear, "text.proj."),
    ):
        fill(module, _below(tensors, prefix), path, prefix)
    with torch.no_grad():
        encoder.log_logit_scale.copy_(_log_scale(tensors, path))
    card = read_card(folder) if (folder / CARD).exists() else ModelCard(weights={"open_clip model": folder.name})
    encoder.save_pretrained(output, card)


def _image_settings(vision: dict[str, Any], folder: Path, mean: float, std: float) -> ImageTower:
    name = str(vision.get("timm_model_name", ""))
    options: dict[str, Any] = {}
    if name.startswith("local-dir:"):
        named = Path(name.removeprefix("local-dir:"))
        local = _read((named if named.is_dir() else folder / "image") / "config.json")
        name, options = local["architecture"], dict(local.get("model_args", {}))
        for key in ("in_chans", "num_classes", "img_size"):
            options.pop(key, None)
    if not timm.is_model(name):
        raise UserError(f"{folder / CONFIG}: model_cfg.vision_cfg.timm_model_name: timm has no model {name!r}")
    listed = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return ImageTower(name=name, size=int(vision.get("image_size", 224)), options=listed, mean=mean, std=std)


def _text_config(text: dict[str, Any], folder: Path) -> dict[str, Any]:
    name = str(text.get("hf_model_name", ""))
    for place in (Path(name), folder / "text"):
        if name and (place / "config.json").is_file():
            return _read(place / "config.json")
    try:
        found: dict[str, Any] = AutoConfig.from_pretrained(
            name, local_files_only=True, trust_remote_code=False
        ).to_dict()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / CONFIG}: model_cfg.text_cfg.hf_model_name: {name!r} is neither a folder nor in the local hub "
            f"cache; put its config.json into {folder / 'text'}"
        ) from error
    return found


def _check_frame(tokenizer: Any, max_tokens: int, folder: Path) -> None:
    """mmclip puts the tokenizer's own start and end around a text; so must open_clip's use of it."""
    ours = framed(tokenizer, plain_ids(tokenizer, [SAMPLE]), max_tokens)[0][0].tolist()
    theirs = tokenizer(SAMPLE, truncation=True, max_length=max_tokens).input_ids
    if ours != theirs:
        raise UserError(f"{folder}: its tokenizer does not put [start] and [end] around a text; mmclip would")


def _fill_image(image: ImageEncoder, tensors: dict[str, Tensor], means: Any, stds: Any, path: Path) -> None:
    """Give the tower these weights, with the first convolution for one channel, and compare the features."""
    settings = image.settings
    wanted = image.backbone.state_dict()
    trunk = timm.create_model(settings.name, pretrained=False, **timm_images.arguments(settings, channels=3))
    fill(trunk, tensors, path, "visual.trunk.")
    folded = dict(tensors)
    for name, tensor in tensors.items():
        if tensor.ndim == 4 and tensor.shape[1] == 3 and wanted[name].shape[1] == 1:
            convolution = image.backbone.get_submodule(name.removesuffix(".weight"))
            folded |= _fold(name, folded, convolution, settings, means, stds, path)
    fill(image.backbone, folded, path)
    grey = torch.rand(2, 1, settings.size, settings.size, generator=torch.Generator().manual_seed(0))
    colours = (grey.expand(-1, 3, -1, -1) - torch.tensor(means).view(3, 1, 1)) / torch.tensor(stds).view(3, 1, 1)
    with torch.inference_mode():
        ours = image.eval()((grey - settings.mean) / settings.std)[0]
        difference = float((trunk.eval()(colours) - ours).abs().max() / ours.abs().max().clamp(min=1))
    if difference > 1e-4:
        raise UserError(
            f"{path}: image tower {settings.name!r} on one grey channel gives other features (by {difference:.1e}); "
            "it cannot be imported"
        )


def _fold(
    name: str,
    tensors: dict[str, Tensor],
    convolution: nn.Module,
    settings: ImageTower,
    means: Any,
    stds: Any,
    path: Path,
) -> dict[str, Tensor]:
    """The first convolution for one channel that is standardised with the mean of the channels' means."""
    weight = tensors[name].double()
    mean, std = torch.tensor(means, dtype=torch.float64), torch.tensor(stds, dtype=torch.float64)
    out = {name: (weight * (settings.std / std).view(3, 1, 1)).sum(dim=1, keepdim=True).float()}
    shift = (settings.mean - mean) / std
    if float(shift.abs().max()) > 1e-9:
        bias = name.removesuffix("weight") + "bias"
        padded = not isinstance(convolution, nn.Conv2d) or any(convolution.padding)  # the border is not shifted
        if padded or bias not in tensors:
            raise UserError(
                f"{path}: image tower {settings.name!r} standardises its three channels differently before a padded "
                "convolution; one grey channel cannot stand for them"
            )
        out[bias] = (tensors[bias].double() + (weight * shift.view(3, 1, 1)).sum(dim=(1, 2, 3))).float()
    return out


def _log_scale(tensors: dict[str, Tensor], path: Path) -> Tensor:
    stored = tensors.get("logit_scale", torch.tensor(0.0)).float().reshape(())
    scale = float(stored.exp())
    if not 0.999 <= scale <= LOGIT_SCALE_MAX * 1.001:
        raise UserError(f"{path}: logit scale {scale:.3g}; mmclip keeps it in [1, {LOGIT_SCALE_MAX:.0f}]")
    return stored


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is missing or not JSON; a folder of open_clip has it") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: is no JSON object; a folder of open_clip has one")
    return value
