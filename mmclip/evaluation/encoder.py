"""What evaluation asks of a model, whoever trained it: embeddings of images and of texts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]

FOREIGN = {
    "open_clip": ("open_clip", "OpenClipModel"),
    "hf": ("hugging_face", "HuggingFaceModel"),
    "medclip": ("medclip", "MedClipModel"),
    "biomedclip": ("biomedclip", "BiomedClipModel"),
    "cxr_clip": ("cxr_clip", "CxrClipModel"),
    "biovil_t": ("biovil_t", "BioVilTModel"),
}
"""Kind of a model that others trained -> module of :mod:`mmclip.evaluation.encoders` and its class."""


class Encoder(Protocol):
    """Two towers into one space.

    Attributes:
        digest: of the model's weights and configuration, 16 hexadecimal digits.
        logit_scale: what cosines are multiplied with before a softmax over classes.
        size: pixels along the edge of what images are resized to.
    """

    digest: str
    logit_scale: float
    size: int

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1."""


class DualEncoderModel:
    """A folder that mmclip wrote."""

    def __init__(self, folder: Path) -> None:
        from mmclip.evaluation.encoders.batches import device
        from mmclip.models.digest import weights_digest
        from mmclip.models.dual_encoder import DualEncoder

        self.model = DualEncoder.from_pretrained(folder).to(device())
        self.digest = weights_digest(folder)
        self.logit_scale = float(self.model.logit_scale.detach())
        self.size = self.model.settings.image.size

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`."""
        return self.model.encode_image(pixels).numpy()

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`."""
        return self.model.encode_text(sentences).numpy()


def load_encoder(model: str) -> Encoder:
    """The encoder that a user names: a folder of mmclip, or ``KIND:FOLDER`` with a kind of :data:`FOREIGN`.

    It computes on the GPU where there is one.

    Raises:
        UserError: no such folder, or not a model of that kind.
    """
    kind, _, rest = model.partition(":")
    if not rest or kind not in FOREIGN:
        return DualEncoderModel(Path(model))
    module, name = FOREIGN[kind]
    return cast(Encoder, getattr(importlib.import_module(f"mmclip.evaluation.encoders.{module}"), name)(Path(rest)))
