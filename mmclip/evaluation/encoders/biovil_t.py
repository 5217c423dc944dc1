"""BioViL-T and BioViL (Bannur et al. 2023, Boecking et al. 2022): a ResNet-50 beside CXR-BERT.

A folder as published (microsoft/BiomedVLP-BioViL-T or -CXR-BERT-specialized), its two checkpoints made safetensors by
`mmclip convert-weights`: config.json, tokenizer and model.safetensors of the text model, and
``biovil…image….safetensors``. The Python files that lie there too are never run.

Only single images are encoded: where BioViL-T compares with an earlier image, it has a learned vector for "none".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from mmclip.evaluation.encoders.batches import DEFAULT_SCALE, Embeddings, device, encode_pixels, encode_tokens
from mmclip.evaluation.encoders.parts import Bert, feature_map, give, linear, one, resnet, weights_file
from mmclip.models.digest import weights_digest
from mmclip.models.weights import read_tensors

RESIZED, CROPPED, CROPPED_BIOVIL = 512, 448, 480
ENDINGS = "!?."
"""Marks that the authors' code removes from the end of a text."""


class BioVilTModel:
    """BioViL-T or BioViL in a local folder; see :class:`mmclip.evaluation.encoder.Encoder`."""

    def __init__(self, folder: Path) -> None:
        text_file, image_file = weights_file(folder, "model"), weights_file(folder, "biovil*image*")
        text, image, place = read_tensors(text_file), read_tensors(image_file), device()
        self.vision = _Vision(image, image_file).eval().to(place)
        crop = CROPPED_BIOVIL if self.vision.join is None else CROPPED
        self.transform = transforms.Compose(
            [
                transforms.Lambda(_stretched),
                transforms.Resize(RESIZED),
                transforms.CenterCrop(crop),
                transforms.ToTensor(),
                transforms.Lambda(lambda one: one.expand(3, -1, -1)),
            ]
        )
        self.text = Bert(folder, text, "bert.", text_file, max_tokens=1 << 30)
        self.text_head = _text_head(text, "cls_projection_head.", text_file).to(place)
        self.digest, self.logit_scale, self.size = weights_digest(folder), DEFAULT_SCALE, RESIZED

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""
        return encode_pixels(pixels, "L", self.transform, self.vision)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1; longer texts are cut to the model's positions."""
        return encode_tokens(self.text.ids([text.rstrip(ENDINGS) for text in sentences]), self._embed)

    def _embed(self, ids: Tensor) -> Tensor:
        embedding: Tensor = self.text_head(self.text.states(ids)[-1][:, 0])
        return embedding


class _Vision(nn.Module):
    """The grid of a ResNet, joined with what stands for "no earlier image", projected at each region and averaged."""

    def __init__(self, tensors: dict[str, Tensor], path: Path) -> None:
        super().__init__()
        self.network = resnet(tensors, "encoder.encoder.", path)
        self.join: nn.Conv2d | None = None
        if "encoder.backbone_to_vit.weight" in tensors:
            weight = tensors["encoder.backbone_to_vit.weight"]
            self.join = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
            give(self.join, tensors, "encoder.backbone_to_vit.", path)
            self.register_buffer("no_earlier", one(tensors, "encoder.missing_previous_emb", path))
        hidden, width = one(tensors, "projector.model.0.weight", path).shape[:2]
        dimensions = one(tensors, "projector.model.3.weight", path).shape[0]
        self.head = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, dimensions, 1)
        )
        give(self.head, tensors, "projector.model.", path)

    def forward(self, pixels: Tensor) -> Tensor:
        grid = feature_map(self.network, pixels)
        if self.join is not None:
            seen = self.join(grid)
            earlier: Tensor = self.get_buffer("no_earlier")
            grid = torch.cat([seen, earlier.expand(len(seen), -1, *seen.shape[2:])], dim=1)
        embedding: Tensor = self.head(grid).mean(dim=(2, 3))
        return embedding


def _text_head(tensors: dict[str, Tensor], prefix: str, path: Path) -> nn.Module:
    first, last = (linear(tensors, f"{prefix}{name}.", path) for name in ("dense_to_hidden", "dense_to_output"))
    norm = nn.LayerNorm(first.out_features, eps=1e-12)
    give(norm, tensors, f"{prefix}LayerNorm.", path)
    return nn.Sequential(first, nn.GELU(), norm, last)


def _stretched(picture: Image.Image) -> Image.Image:
    """Grey levels spread over 0..255, as the authors' loader does."""
    levels = np.asarray(picture, np.float64)
    low, high = levels.min(), levels.max()
    return picture if high == low else Image.fromarray(((levels - low) / (high - low) * 255).astype(np.uint8))
