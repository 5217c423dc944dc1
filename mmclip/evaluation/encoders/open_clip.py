"""Models of open_clip, computed by open_clip itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmclip.errors import UserError
from mmclip.evaluation.encoders.batches import (
    Embeddings,
    batches,
    device,
    encode_pixels,
    first_line,
    learned_scale,
    unit,
)
from mmclip.models.digest import weights_digest

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Where open_clip looks first; without one of them it might read pickled weights."""


class OpenClipModel:
    """A model of open_clip in a local folder, with its config, safetensors and tokenizer."""

    def __init__(self, folder: Path) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise UserError("open_clip:… needs the package open_clip_torch; pip install open_clip_torch") from error
        if not any((folder / name).is_file() for name in WEIGHTS):
            raise UserError(f"open_clip:{folder}: no {WEIGHTS[0]} there; give a local folder that has one")
        name = f"local-dir:{folder}"
        try:
            model, _, self.transform = open_clip.create_model_and_transforms(name)
            self.tokenizer = open_clip.get_tokenizer(name)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise UserError(f"open_clip:{folder}: open_clip cannot load it ({first_line(error)})") from error
        self.model = model.to(device()).eval()
        self.digest = weights_digest(folder)
        self.logit_scale = learned_scale(self.model)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images, repeated in three channels -> [n, D] embeddings of length 1."""
        return encode_pixels(pixels, "RGB", self.transform, self.model.encode_image)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1."""
        with torch.inference_mode():
            return unit(
                [self.model.encode_text(self.tokenizer(list(part)).to(device())) for part in batches(sentences)]
            )
