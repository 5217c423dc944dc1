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
    from torch import Tensor, device

Embeddings = NDArray[np.float32]

OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Where open_clip looks first; without one of them it might read pickled weights."""


class Encoder(Protocol):
    """Two towers into one space.

    Attributes:
        digest: of the model's weights and configuration, 16 hexadecimal digits.
        logit_scale: what cosines are multiplied with before a softmax over classes.
    """

    digest: str
    logit_scale: float

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1."""


class DualEncoderModel:
    """A folder that mmclip wrote."""

    def __init__(self, folder: Path) -> None:
        from mmclip.models.dual_encoder import DualEncoder

        self.model = DualEncoder.from_pretrained(folder).to(_device())
        self.digest = weights_digest(folder)
        self.logit_scale = float(self.model.logit_scale.detach())

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`."""
        return self.model.encode_image(pixels).numpy()

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`."""
        return self.model.encode_text(sentences).numpy()


class OpenClipModel:
    """A model of open_clip in a local folder, with its config, safetensors and tokenizer."""

    def __init__(self, folder: Path) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise UserError("open_clip:… needs the package open_clip_torch; pip install open_clip_torch") from error
        if not any((folder / name).is_file() for name in OPEN_CLIP_WEIGHTS):
            raise UserError(f"open_clip:{folder}: no {OPEN_CLIP_WEIGHTS[0]} there; give a local folder that has one")
        name = f"local-dir:{folder}"
        try:
            model, _, self.transform = open_clip.create_model_and_transforms(name)
            self.tokenizer = open_clip.get_tokenizer(name)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise UserError(f"open_clip:{folder}: open_clip cannot load it ({_first_line(error)})") from error
        self.device = _device()
        self.model = model.to(self.device).eval()
        self.digest = weights_digest(folder)
        self.logit_scale = _learned_scale(self.model)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`; the grey channel is repeated."""
        import torch

        with torch.inference_mode():
            parts = []
            for batch in _batches(pixels):
                inputs = torch.stack([self.transform(picture) for picture in _pictures(batch)])
                parts.append(self.model.encode_image(inputs.to(self.device)))
        return _unit(parts)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`."""
        import torch

        with torch.inference_mode():
            return _unit(
                [self.model.encode_text(self.tokenizer(list(batch)).to(self.device)) for batch in _batches(sentences)]
            )


class HuggingFaceModel:
    """A CLIP-like model folder of transformers (CLIP, SigLIP, and what else has image and text features)."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoProcessor

        processors: Any = AutoProcessor
        if not folder.is_dir():
            raise UserError(f"hf:{folder}: no such folder; save the model there with save_pretrained()")
        self.device = _device()
        try:
            model: Any = AutoModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
            self.processor = processors.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise UserError(f"hf:{folder}: transformers cannot load it ({_first_line(error)})") from error
        if not (hasattr(model, "get_image_features") and hasattr(self.processor, "image_processor")):
            raise UserError(
                f"hf:{folder}: {type(model).__name__} with {type(self.processor).__name__} is no model of images and "
                "texts; give a CLIP-like model with its processor"
            )
        self.model = model.to(self.device).eval()
        self.digest = weights_digest(folder)
        self.logit_scale = _learned_scale(self.model)

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """See :class:`Encoder`; the grey channel is repeated."""
        import torch

        with torch.inference_mode():
            parts = []
            for batch in _batches(pixels):
                inputs = self.processor(images=_pictures(batch), return_tensors="pt")
                parts.append(_features(self.model.get_image_features(**inputs.to(self.device))))
        return _unit(parts)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """See :class:`Encoder`; longer texts are cut to the model's positions."""
        import torch

        config = self.model.config
        positions = getattr(getattr(config, "text_config", config), "max_position_embeddings", 512)
        longest = min(int(positions), self.processor.tokenizer.model_max_length)
        # SigLIP's text tower was trained on texts padded to full length, and its last position is the feature
        padding = "max_length" if config.model_type.startswith("siglip") else "longest"
        with torch.inference_mode():
            parts = []
            for batch in _batches(sentences):
                inputs = self.processor(
                    text=list(batch), return_tensors="pt", padding=padding, truncation=True, max_length=longest
                )
                parts.append(_features(self.model.get_text_features(**inputs.to(self.device))))
        return _unit(parts)


def load_encoder(model: str) -> Encoder:
    """The encoder that a user names: a folder of mmclip, ``open_clip:FOLDER`` or ``hf:FOLDER``.

    It computes on the GPU where there is one.

    Raises:
        UserError: no such folder, or not a model of that kind.
    """
    kind, _, rest = model.partition(":")
    if rest and kind == "open_clip":
        return OpenClipModel(Path(rest))
    if rest and kind == "hf":
        return HuggingFaceModel(Path(rest))
    return DualEncoderModel(Path(model))


def weights_digest(folder: Path) -> str:
    """Hash of a model folder's safetensors files and JSON files, 16 hexadecimal digits."""
    total = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        with file.open("rb") as content:
            total.update(json.dumps([file.name, hashlib.file_digest(content, "sha256").hexdigest()]).encode())
    return total.hexdigest()[:16]


def _device() -> device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _learned_scale(model: Any) -> float:
    """exp(`logit_scale`), as CLIP, SigLIP and open_clip's models store it; CLIP's bound of 100 where there is none."""
    learned = getattr(model, "logit_scale", None)
    return 100.0 if learned is None else float(learned.detach().exp())


def _batches(items: Any, size: int = 128) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _pictures(pixels: NDArray[np.uint8]) -> list[Any]:
    """Grey images as colour pictures."""
    from PIL import Image

    return [Image.fromarray(one).convert("RGB") for one in pixels]


def _features(output: Any) -> Tensor:
    """The feature tensor: newer transformers wrap it."""
    return output if not hasattr(output, "pooler_output") else output.pooler_output  # type: ignore[no-any-return]


def _unit(parts: list[Tensor]) -> Embeddings:
    """The embeddings of all batches, of length 1."""
    import torch

    return np.asarray(torch.nn.functional.normalize(torch.cat(parts).float(), dim=1).cpu().numpy())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
