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

from mmclip.config.base import parse
from mmclip.config.models import ImageTower, ModelSettings
from mmclip.errors import UserError
from mmclip.models import timm_images
from mmclip.models.card import CARD, ModelCard, read_card
from mmclip.models.dual_encoder import LOGIT_SCALE_MAX, DualEncoder
from mmclip.models.export import CONFIG, WEIGHTS
from mmclip.models.image_encoder import ImageEncoder
from mmclip.models.output import check_output
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
        output: the folder to write; a model that is there is replaced.

    Raises:
        UserError: `folder` is no such folder, a part is missing, mmclip has no counterpart for the architecture, or
            `output` would replace `folder` or something that is no model.
    """
    check_output(output, folder)
    config = _read(folder / CONFIG)
    model = _checked(_object(config, "model_cfg"), f"{folder / CONFIG}: model_cfg")
    tensors = read_tensors(folder / WEIGHTS)
    preprocess = _object(config, "preprocess_cfg")
    means, stds = (_channels(preprocess, key, default, folder) for key, default in (("mean", MEAN), ("std", STD)))
    settings = _settings(model, folder, sum(means) / 3, sum(stds) / 3)
    text_config = _text_config(settings.text.name, folder)
    tokenizer = load_tokenizer(folder)
    if text_config.get("pad_token_id") != tokenizer.pad_token_id:
        raise UserError(
            f"{folder}: the text tower's padding id is {text_config.get('pad_token_id')} and the tokenizer's "
            f"{tokenizer.pad_token_id}, so open_clip masks otherwise; give both the same"
        )
    _check_frame(tokenizer, settings.text.max_tokens, folder)
    text = TextEncoder(backbone_from_config(text_config))
    encoder = DualEncoder(settings, ImageEncoder(settings.image, initialise=False), text, tokenizer)
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


def _checked(model: dict[str, Any], where: str) -> dict[str, Any]:
    for section, wanted in WANTED.items():
        for key, value in wanted.items():
            found = _object(model, section).get(key)
            if found != value:
                raise UserError(f"{where}.{section}.{key}: {found!r}, and mmclip has a counterpart only for {value!r}")
    return model


def _settings(model: dict[str, Any], folder: Path, mean: float, std: float) -> ModelSettings:
    """The settings of a model of this architecture; its values are checked like those of a user's file."""
    vision, text = model["vision_cfg"], model["text_cfg"]
    name, options = _image_tower(vision, folder)
    size = vision.get("image_size", 224)
    if isinstance(size, list) and len(size) == 2 and size[0] == size[1]:
        size = size[0]
    values = {
        "image": {"name": name, "size": size, "options": options, "mean": mean, "std": std},
        "text": {"name": text.get("hf_model_name"), "max_tokens": text.get("context_length", 77)},
        "projection": model.get("embed_dim"),
    }
    return parse(ModelSettings, values, f"{folder / CONFIG}: model_cfg, as settings of mmclip")


def _image_tower(vision: dict[str, Any], folder: Path) -> tuple[str, dict[str, Any]]:
    """The name of the timm model and its options."""
    name = str(vision.get("timm_model_name", ""))
    options: dict[str, Any] = {}
    if name.startswith("local-dir:"):
        named = Path(name.removeprefix("local-dir:"))
        local = _read((named if named.is_dir() else folder / "image") / "config.json")
        name, options = str(local.get("architecture")), _object(local, "model_args")
    if not timm.is_model(name):
        raise UserError(f"{folder / CONFIG}: model_cfg.vision_cfg.timm_model_name: timm has no model {name!r}")
    return name, {key: value for key, value in options.items() if key not in ("in_chans", "num_classes", "img_size")}


def _text_config(name: str, folder: Path) -> dict[str, Any]:
    """The text tower's configuration with the defaults of its architecture."""
    places = [place for place in (Path(name), folder / "text") if (place / "config.json").is_file()]
    if places and not _read(places[0] / "config.json").get("model_type"):  # transformers would guess from the path
        raise UserError(f"{places[0] / 'config.json'}: has no model_type; add it, as 'bert' or 'xlm-roberta'")
    load: Any = AutoConfig.from_pretrained
    try:
        found: dict[str, Any] = load(
            str(places[0]) if places else name, local_files_only=True, trust_remote_code=False
        ).to_dict()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{places[0] / 'config.json'}: is no configuration of transformers ({str(error).splitlines()[0]})"
            if places
            else f"{folder / CONFIG}: model_cfg.text_cfg.hf_model_name: {name!r} is neither a folder nor in the local "
            f"hub cache; put its config.json into {folder / 'text'}"
        ) from error
    return found


def _channels(preprocess: dict[str, Any], key: str, default: tuple[float, ...], folder: Path) -> tuple[float, ...]:
    """A number for each of the three channels; open_clip takes a single one for all."""
    found = preprocess.get(key)
    values = tuple(default if found is None else found if isinstance(found, list) else [found] * 3)
    if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
        raise UserError(f"{folder / CONFIG}: preprocess_cfg.{key}: {found!r}; expected three numbers")
    return values


def _object(values: dict[str, Any], key: str) -> dict[str, Any]:
    """An object of a configuration; empty where there is none."""
    found = values.get(key)
    return found if isinstance(found, dict) else {}


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
