"""BiomedCLIP (Zhang et al. 2023): a ViT of timm beside PubMedBERT, published in open_clip's form.

A folder as published (microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224), its checkpoint made safetensors by
`mmclip convert-weights`: open_clip_config.json, the weights and the tokenizer; and ``text/config.json`` of
microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract, which open_clip would ask the hub for. open_clip is not needed.

Texts are cleaned as open_clip cleans them, but for ftfy's repair of broken encodings.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision import transforms

from mmclip.errors import UserError
from mmclip.evaluation.encoders.batches import DEFAULT_SCALE, Embeddings, device, encode_pixels, encode_tokens
from mmclip.evaluation.encoders.parts import Bert, Tensors, give, linear, read_json, scale, weights_file
from mmclip.models.digest import weights_digest
from mmclip.models.weights import read_tensors

CONFIG = "open_clip_config.json"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's, where the configuration names none."""
BUILT: dict[str, dict[str, tuple[str, ...]]] = {
    "vision_cfg": {"timm_pool": ("",), "timm_proj": ("linear",)},
    "text_cfg": {"hf_proj_type": ("mlp", "linear"), "hf_pooler_type": ("cls_last_hidden_state_pooler",)},
}
"""What this adapter builds of open_clip's configurations."""


class BiomedClipModel:
    """BiomedCLIP in a local folder; see :class:`mmclip.evaluation.encoder.Encoder`."""

    def __init__(self, folder: Path) -> None:
        config = read_json(folder / CONFIG)
        model = _checked(config.get("model_cfg", {}), folder / CONFIG)
        path = weights_file(folder)
        tensors, place = read_tensors(path), device()
        self.size = int(model["vision_cfg"].get("image_size", 224))
        trunk = _trunk(model["vision_cfg"]["timm_model_name"], self.size, tensors, path)
        self.vision = nn.Sequential(trunk, linear(tensors, "visual.head.proj.", path)).to(place)
        limit = int(model["text_cfg"].get("context_length", 256))
        self.text = Bert(folder / "text", tensors, "text.transformer.", path, limit, tokenizer=folder)
        self.text_head = _text_head(tensors, path).to(place)
        preprocess = config.get("preprocess_cfg", {})
        self.transform = transforms.Compose(
            [
                transforms.Resize(self.size, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(self.size),
                transforms.ToTensor(),
                transforms.Normalize(preprocess.get("mean", MEAN), preprocess.get("std", STD)),
            ]
        )
        self.digest, self.logit_scale = weights_digest(folder), scale(tensors, DEFAULT_SCALE)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""
        return encode_pixels(pixels, "RGB", self.transform, self.vision)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1; longer texts are cut at the context length."""
        cleaned = [" ".join(html.unescape(html.unescape(text)).split()) for text in sentences]
        return encode_tokens(self.text.ids(cleaned), self._embed)

    def _embed(self, ids: Tensor) -> Tensor:
        embedding: Tensor = self.text_head(self.text.states(ids)[-1][:, 0])
        return embedding


def _checked(model: dict[str, Any], file: Path) -> dict[str, Any]:
    for section, wanted in BUILT.items():
        found = model.get(section, {})
        for key, values in wanted.items():
            if found.get(key) not in values:
                raise UserError(
                    f"{file}: model_cfg.{section}.{key}: {found.get(key)!r}, and BiomedCLIP has "
                    f"{' or '.join(map(repr, values))}; evaluate another model as open_clip:FOLDER"
                )
    return model


def _trunk(name: str, size: int, tensors: Tensors, path: Path) -> Any:
    if not timm.is_model(name):
        raise UserError(f"{path.parent / CONFIG}: model_cfg.vision_cfg.timm_model_name: timm has no {name!r}")
    fixed = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {"img_size": size} if fixed and fixed.fixed_input_size else {}
    trunk = timm.create_model(name, pretrained=False, num_classes=0, **options)
    give(trunk, tensors, "visual.trunk.", path)
    return trunk.eval()


def _text_head(tensors: Tensors, path: Path) -> nn.Module:
    """One linear layer, or two with a GELU between."""
    if "text.proj.weight" in tensors:
        return linear(tensors, "text.proj.", path)
    return nn.Sequential(linear(tensors, "text.proj.0.", path), nn.GELU(), linear(tensors, "text.proj.2.", path))
