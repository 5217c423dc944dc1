"""What evaluation asks of a model, whoever trained it: embeddings of images and of texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmclip.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Embeddings = NDArray[np.float32]


class Encoder(Protocol):
    """Two towers into one space.

    Attributes:
        digest: of the model's weights, 16 hexadecimal digits.
    """

    digest: str

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1."""


class DualEncoderModel:
    """A folder that mmclip wrote."""

    def __init__(self, folder: Path) -> None:
        from mmclip.models.dual_encoder import DualEncoder

        self.model = DualEncoder.from_pretrained(folder)
        self.digest = weights_digest(folder)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`."""
        return self.model.encode_image(pixels).numpy()

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`."""
        return self.model.encode_text(sentences).numpy()


class OpenClipModel:
    """A model of open_clip in a local folder, with its config and safetensors."""

    def __init__(self, name: str) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise UserError("open_clip:… needs the package open_clip_torch; pip install open_clip_torch") from error
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(f"open_clip:{name}: no such folder; give one with open_clip_config.json and its weights")
        self.model, _, self.transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        self.digest = weights_digest(folder)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`; the grey channel is repeated."""
        import torch
        from PIL import Image

        with torch.inference_mode():
            parts = [
                self.model.encode_image(
                    torch.stack([self.transform(Image.fromarray(one).convert("RGB")) for one in batch]), normalize=True
                )
                for batch in _batches(pixels)
            ]
        return _numpy(parts)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`."""
        import torch

        with torch.inference_mode():
            return _numpy(
                [self.model.encode_text(self.tokenizer(batch), normalize=True) for batch in _batches(sentences)]
            )


class HuggingFaceModel:
    """A CLIP-like model folder of transformers (CLIP, SigLIP, and what else has image and text features)."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModel, AutoProcessor

        processors: Any = AutoProcessor
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(f"hf:{name}: no such folder; save the model there with save_pretrained()")
        self.model = AutoModel.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval()
        self.processor = processors.from_pretrained(folder, local_files_only=True)
        if not hasattr(self.model, "get_image_features"):
            raise UserError(
                f"hf:{name}: {type(self.model).__name__} has no image and text features; give a CLIP-like model"
            )
        self.digest = weights_digest(folder)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`; the grey channel is repeated."""
        import torch
        from PIL import Image

        with torch.inference_mode():
            parts = []
            for batch in _batches(pixels):
                colour = [Image.fromarray(one).convert("RGB") for one in batch]
                inputs = self.processor(images=colour, return_tensors="pt")
                parts.append(_features(self.model.get_image_features(**inputs)))
        return _numpy(parts)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`."""
        import torch

        with torch.inference_mode():
            parts = []
            for batch in _batches(sentences):
                inputs = self.processor(text=list(batch), return_tensors="pt", padding=True, truncation=True)
                parts.append(_features(self.model.get_text_features(**inputs)))
        return _numpy(parts)


def load_encoder(model: str) -> Encoder:
    """The encoder that a user names: a folder of mmclip, ``open_clip:FOLDER`` or ``hf:FOLDER``.

    Raises:
        UserError: no such folder, or not a model of that kind.
    """
    kind, _, rest = model.partition(":")
    if rest and kind == "open_clip":
        return OpenClipModel(rest)
    if rest and kind == "hf":
        return HuggingFaceModel(rest)
    return DualEncoderModel(Path(model))


def weights_digest(folder: Path) -> str:
    """Hash of a model folder's safetensors files and JSON files, 16 hexadecimal digits."""
    total = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        total.update(json.dumps([file.name, hashlib.sha256(file.read_bytes()).hexdigest()]).encode())
    return total.hexdigest()[:16]


def _batches(items: Any, size: int = 128) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _features(output: Any) -> Tensor:
    """The feature tensor: newer transformers wrap it."""
    return output if not hasattr(output, "pooler_output") else output.pooler_output  # type: ignore[no-any-return]


def _numpy(parts: list[Tensor]) -> Embeddings:
    import torch

    return np.asarray(torch.nn.functional.normalize(torch.cat(parts).float(), dim=1).cpu().numpy())
