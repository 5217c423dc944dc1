"""MedCLIP (Wang et al. 2022), both released models: a ResNet-50 or a Swin-T beside Bio_ClinicalBERT.

A folder: the weights, ``text/`` of emilyalsentzer/Bio_ClinicalBERT, and for the Swin ``image/`` of
microsoft/swin-tiny-patch4-window7-224.

Its text feature is the mean over all positions of the mean of the states after the first, the second and the last
layer. MedCLIP averages over padding as well, so that there a text's embedding depends on the texts beside it; here
each text is encoded as MedCLIP encodes it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision import transforms

from mmclip.evaluation.encoders.batches import DEFAULT_SCALE, Embeddings, device, encode_pixels, encode_tokens
from mmclip.evaluation.encoders.parts import Bert, hugging_face_image, linear, resnet, scale, weights_file
from mmclip.models.digest import weights_digest
from mmclip.models.weights import read_tensors

SIZE, MEAN, STD = 224, 0.5862785803043838, 0.27950088968644304
MAX_TOKENS = 77
LAYERS = (1, 2, -1)


class MedClipModel:
    """MedCLIP in a local folder; see :class:`mmclip.evaluation.encoder.Encoder`."""

    def __init__(self, folder: Path) -> None:
        path = weights_file(folder)
        tensors, place = read_tensors(path), device()
        prefix = "vision_model.model."
        self.vision: Any
        if f"{prefix}fc.weight" in tensors:
            self.vision = nn.Sequential(resnet(tensors, prefix, path), linear(tensors, f"{prefix}fc.", path)).to(place)
        else:
            swin = hugging_face_image(folder / "image", tensors, prefix, path)
            self.vision = _Pooled(swin, linear(tensors, "vision_model.projection_head.", path)).to(place)
        self.text = Bert(folder / "text", tensors, "text_model.model.", path, MAX_TOKENS)
        self.text_head = linear(tensors, "text_model.projection_head.", path).to(place)
        self.digest, self.logit_scale = weights_digest(folder), scale(tensors, DEFAULT_SCALE)
        self.size = SIZE

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""
        return encode_pixels(pixels, "L", _TRANSFORM, self.vision)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1; longer texts are cut at 77 tokens."""
        return encode_tokens(self.text.ids(sentences), self._embed)

    def _embed(self, ids: Tensor) -> Tensor:
        states = self.text.states(ids)
        feature = torch.stack([states[layer] for layer in LAYERS]).mean(dim=(0, 2))
        embedding: Tensor = self.text_head(feature)
        return embedding


class _Pooled(nn.Module):
    """A Swin of Hugging Face, averaged over its regions, and projected."""

    def __init__(self, swin: Any, head: nn.Linear) -> None:
        super().__init__()
        self.swin, self.head = swin, head

    def forward(self, pixels: Tensor) -> Tensor:
        projected: Tensor = self.head(self.swin(pixels).last_hidden_state.mean(dim=1))
        return projected


_TRANSFORM = transforms.Compose(
    [
        transforms.Resize(SIZE, interpolation=transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(SIZE),
        transforms.ToTensor(),
        transforms.Normalize([MEAN], [STD]),
        transforms.Lambda(lambda image: image.expand(3, -1, -1)),
    ]
)
"""Of square pictures; MedCLIP sets others into a black square, as packing does."""
