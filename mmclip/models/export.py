"""A trained model in the form that open_clip loads from a local folder.

open_clip's ``CustomTextCLIP`` has the same two towers: a timm model with a linear projection, and a Hugging Face
encoder whose states are averaged over the tokens, with a linear projection. What it cannot say is settled like this:

* It feeds three equal channels. The first convolution gets its one channel three times, divided by 3, which is the
  same sum; mean and standard deviation are given for each channel.
* It takes timm's options (`in_chans`, `img_size`, sizes of layers) only from a timm config, and the text tower's
  architecture only from a Hugging Face config. Both lie in the exported folder, under its absolute path: a folder that
  moves needs the two paths in ``open_clip_config.json`` changed, or to be exported again.

What remains different is what open_clip does before its model: it resizes with PIL, rounding to whole grey levels
(equal where images have the model's size already), and its tokenizer first cleans a text with ftfy (HTML entities,
curly quotes, full-width punctuation). ``tokenizer.clean_fn = str`` switches the cleaning off.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from mmclip.errors import UserError
from mmclip.models import timm_images
from mmclip.models.card import CARD, README
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import ImageEncoder
from mmclip.models.output import OPEN_CLIP_CONFIG, check_output
from mmclip.models.text_encoder import TextEncoder
from mmclip.tables.files import atomic

CONFIG, WEIGHTS = OPEN_CLIP_CONFIG, "open_clip_model.safetensors"
TEXT_TYPES = ("xlm-roberta", "roberta", "bert")
"""Architectures that open_clip's text adapter builds without a pooler, as ours are."""


def export_open_clip(model: Path, output: Path) -> None:
    """Write a model's folder as a folder for ``open_clip.create_model_and_transforms("local-dir:OUTPUT")``.

    The embeddings of open_clip's model are this model's, to rounding (see the module's text for the preprocessing).
    The folder holds open_clip_config.json, open_clip_model.safetensors, the tokenizer, ``image/config.json`` (timm's),
    ``text/config.json`` (Hugging Face's), card.json and README.md.

    Args:
        model: a folder that :meth:`DualEncoder.save_pretrained` wrote.
        output: the folder to write; a model that is there is replaced.

    Raises:
        UserError: `model` is no such folder or lies in `output`, or `output` holds something else than a model; or
            open_clip cannot express it: a bag of words, an image tower that is not timm's, a text architecture that it
            does not know, or an image tower whose first layer is no plain convolution or that it would build otherwise.
    """
    check_output(output, model)
    final = output.resolve()
    encoder = DualEncoder.from_pretrained(model)
    if encoder.settings.image.library != "timm":
        raise UserError(f"{model}: image tower {encoder.settings.image.name!r} is not timm's, as open_clip's are")
    text = _exportable_text(encoder, model)
    with atomic(final) as temporary:
        for folder in (temporary, temporary / "image", temporary / "text"):
            folder.mkdir()
        _write_json(
            timm_images.local_config(encoder.image.settings, encoder.image.width, 3), temporary / "image/config.json"
        )
        text.backbone.config.save_pretrained(temporary / "text")
        weights = {
            **_image_weights(encoder.image, temporary / "image", model),
            "visual.head.proj.weight": encoder.image_projection.linear.weight,
            **{f"text.transformer.{name}": tensor for name, tensor in text.backbone.state_dict().items()},
            "text.proj.weight": encoder.text_projection.linear.weight,
            "logit_scale": encoder.log_logit_scale,
        }
        save_file(
            {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()},
            temporary / WEIGHTS,
            metadata={"format": "pt"},
        )
        _write_tokenizer(encoder, temporary)
        _write_json(_config(encoder, final), temporary / CONFIG)
        (temporary / README).write_text(_card(final), encoding="utf-8")
        if (model / CARD).exists():  # data and terms stay with the weights
            shutil.copy(model / CARD, temporary / CARD)


def _exportable_text(encoder: DualEncoder, model: Path) -> TextEncoder:
    if not isinstance(encoder.text, TextEncoder):
        raise UserError(f"{model}: text.kind bag_of_words has no counterpart in open_clip; export a transformer model")
    config = encoder.text.backbone.config
    if config.model_type not in TEXT_TYPES:
        raise UserError(
            f"{model}: text tower {config.model_type!r} is not built alike by open_clip; it can be one of "
            f"{', '.join(TEXT_TYPES)}"
        )
    if config.pad_token_id != encoder.tokenizer.pad_token_id:
        raise UserError(
            f"{model}: the text tower's padding id {config.pad_token_id} is not the tokenizer's "
            f"{encoder.tokenizer.pad_token_id}, and open_clip masks by the former; train with matching ids"
        )
    return encoder.text


def _image_weights(image: ImageEncoder, folder: Path, model: Path) -> dict[str, Tensor]:
    """The image tower's tensors under open_clip's names, for three equal channels.

    The tower is built as open_clip will build it, from `folder`, and must give the same features.
    """
    trunk: Any = timm.create_model(f"local-dir:{folder}", pretrained=False)
    trunk.reset_classifier(0)
    if trunk.num_features != image.width:
        raise UserError(
            f"{model}: image tower {image.settings.name!r} widens its features after pooling "
            f"({trunk.num_features} to {image.width}), which open_clip's projection does not expect"
        )
    wanted = trunk.state_dict()
    weights = {name: _fold(tensor, wanted.get(name)) for name, tensor in image.backbone.state_dict().items()}
    grey = torch.randn(2, 1, image.settings.size, image.settings.size, generator=torch.Generator().manual_seed(0))
    try:
        trunk.load_state_dict(weights)
        with torch.inference_mode():
            difference = trunk.eval()(grey.expand(-1, 3, -1, -1)) - image.eval()(grey)[0]
        same = float(difference.abs().max()) <= 1e-4
    except RuntimeError:
        same = False
    if not same:
        raise UserError(
            f"{model}: image tower {image.settings.name!r} cannot be given three channels (its first layer is no plain "
            "convolution), or open_clip pools it otherwise; it cannot be exported"
        )
    return {f"visual.trunk.{name}": tensor for name, tensor in weights.items()}


def _fold(tensor: Tensor, wanted: Tensor | None) -> Tensor:
    """A convolution over one channel as one over three equal channels; any other tensor as it is."""
    if wanted is None or tensor.ndim != 4 or tensor.shape[1] != 1 or wanted.shape[1] != 3:
        return tensor
    return tensor.repeat(1, 3, 1, 1) / 3


def _write_tokenizer(encoder: DualEncoder, folder: Path) -> None:
    """The tokenizer with the start and end that :func:`mmclip.models.tokenizer.framed` puts around every text."""
    tokenizer = encoder.tokenizer
    start, end = str(tokenizer.cls_token), str(tokenizer.sep_token)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} {end} $B {end}",
        special_tokens=[(start, tokenizer.cls_token_id), (end, tokenizer.sep_token_id)],
    )
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    tokenizer.save_pretrained(folder)


def _config(encoder: DualEncoder, folder: Path) -> dict[str, Any]:
    settings = encoder.settings
    return {
        "model_cfg": {
            "embed_dim": settings.projection,
            "vision_cfg": {
                "timm_model_name": f"local-dir:{folder / 'image'}",
                "timm_model_pretrained": False,
                "timm_pool": "",  # the network's own
                "timm_proj": "linear",
                "image_size": settings.image.size,
            },
            "text_cfg": {
                "context_length": settings.text.max_tokens,
                "vocab_size": len(encoder.tokenizer),
                "hf_model_name": str(folder / "text"),
                "hf_tokenizer_name": str(folder),
                "hf_model_pretrained": False,
                "hf_proj_type": "linear",
                "hf_pooler_type": "mean_pooler",
            },
        },
        "preprocess_cfg": {
            "mean": [settings.image.mean] * 3,
            "std": [settings.image.std] * 3,
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
    }


def _card(folder: Path) -> str:
    return (
        "# A model of mmclip for open_clip\n\n"
        "```python\n"
        "import open_clip\n"
        f'model, _, preprocess = open_clip.create_model_and_transforms("local-dir:{folder}")\n'
        f'tokenizer = open_clip.get_tokenizer("local-dir:{folder}")\n'
        "tokenizer.clean_fn = str  # texts as they are: the model was not trained on cleaned ones\n"
        "model.eval()\n"
        "```\n\n"
        "Grey images go in as RGB with three equal channels. After moving the folder, change the two paths\n"
        f"(`timm_model_name`, `hf_model_name`) in {CONFIG}. {CARD} says what the model was trained on, and on which\n"
        "terms.\n"
    )


def _write_json(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
