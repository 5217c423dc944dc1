"""CXR-CLIP (You et al. 2023): a ResNet-50 or a Swin-T beside Bio_ClinicalBERT, with linear or deeper projections.

A folder: the weights with the configuration of their checkpoint beside them (`mmclip convert-weights` writes both,
``NAME.safetensors`` and ``NAME.json``), ``text/`` of emilyalsentzer/Bio_ClinicalBERT, and for the Swin ``image/`` of
microsoft/swin-tiny-patch4-window7-224.

Two things are as in the authors' code: a text's feature is the state at its last token; and the Swin's image feature
is the state of its first region, at the top left, where other models have a class token.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision import transforms

from mmclip.errors import UserError
from mmclip.evaluation.encoders.batches import DEFAULT_SCALE, Embeddings, device, encode_pixels, encode_tokens
from mmclip.evaluation.encoders.parts import (
    Bert,
    Tensors,
    below,
    hugging_face_image,
    linear,
    one,
    read_json,
    resnet,
    scale,
    weights_file,
)
from mmclip.models.digest import weights_digest
from mmclip.models.weights import fill, read_tensors

SIZE = 224
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
HALF = [0.5] * 3, [0.5] * 3
POOLING = ("eos", "bos", "mean")


class CxrClipModel:
    """CXR-CLIP in a local folder; see :class:`mmclip.evaluation.encoder.Encoder`."""

    def __init__(self, folder: Path) -> None:
        path = weights_file(folder)
        tensors, place = read_tensors(path), device()
        config_file = path.with_suffix(".json")
        config = read_json(config_file)
        image, text = (_section(config, config_file, "model", name) for name in ("image_encoder", "text_encoder"))
        self.pooling = text.get("pooling")
        if self.pooling not in POOLING:
            raise UserError(f"{config_file}: model.text_encoder.pooling: {self.pooling!r}; known: {', '.join(POOLING)}")
        self.convolutional = image.get("name") == "resnet"
        if self.convolutional:
            self.vision: Any = resnet(tensors, "image_encoder.resnet.", path)
        else:
            self.vision = hugging_face_image(folder / "image", tensors, "image_encoder.image_encoder.", path)
        self.vision.to(place)
        limit = int(_section(config, config_file, "base").get("text_max_length", 256))
        self.text = Bert(folder / "text", tensors, "text_encoder.text_encoder.", path, limit)
        self.image_head = _head(tensors, "image_projection.", path).to(place)
        self.text_head = _head(tensors, "text_projection.", path).to(place)
        mean, std = IMAGENET if self.convolutional else HALF
        self.transform = transforms.Compose(
            [
                transforms.Resize(SIZE),
                transforms.CenterCrop(SIZE),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )
        self.digest, self.logit_scale = weights_digest(folder), scale(tensors, DEFAULT_SCALE)
        self.size = SIZE

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""
        return encode_pixels(pixels, "RGB", self.transform, self._embed_pixels)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1; longer texts are cut where the configuration says."""
        return encode_tokens(self.text.ids(sentences), self._embed_ids)

    def _embed_pixels(self, pixels: Tensor) -> Tensor:
        output = self.vision(pixels)
        embedding: Tensor = self.image_head(output if self.convolutional else output.last_hidden_state[:, 0])
        return embedding

    def _embed_ids(self, ids: Tensor) -> Tensor:
        states = self.text.states(ids)[-1]
        pooled = {"eos": states[:, -1], "bos": states[:, 0]}.get(str(self.pooling))
        embedding: Tensor = self.text_head(states.mean(dim=1) if pooled is None else pooled)
        return embedding


class _Mlp(nn.Module):
    """The deeper projection: a linear map, to which a second one of its GELU is added, and a layer norm."""

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, dimensions)
        self.fc = nn.Linear(dimensions, dimensions)
        self.layer_norm = nn.LayerNorm(dimensions)

    def forward(self, features: Tensor) -> Tensor:
        projected = self.projection(features)
        out: Tensor = self.layer_norm(self.fc(nn.functional.gelu(projected)) + projected)
        return out


def _head(tensors: Tensors, prefix: str, path: Path) -> nn.Module:
    """A projection; a model without one has equal towers, whose features are the embeddings."""
    own = below(tensors, prefix)
    if not own:
        return nn.Identity()
    if "fc.weight" not in own:
        return linear(tensors, f"{prefix}projection.", path)
    dimensions, width = one(tensors, f"{prefix}projection.weight", path).shape
    head = _Mlp(width, dimensions)
    fill(head, own, path, prefix)
    return head


def _section(config: dict[str, Any], file: Path, *keys: str) -> dict[str, Any]:
    for key in keys:
        found = config.get(key)
        if not isinstance(found, dict):
            raise UserError(
                f"{file}: has no section {'.'.join(keys)!r}; it must be the configuration of the checkpoint"
            )
        config = found
    return config
