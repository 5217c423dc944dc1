"""Models of open_clip, computed by open_clip itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from numpy.typing import NDArray

from mmclip.errors import UserError
from mmclip.evaluation.encoders.batches import (
    Embeddings,
    batches,
    device,
    edge,
    encode_pixels,
    first_line,
    learned_scale,
    unit,
)
from mmclip.models.digest import weights_digest
from mmclip.models.output import OPEN_CLIP_CONFIG

WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Where open_clip looks first; without one of them it might read pickled weights."""

CODE = ("auto_map", "trust_remote_code")
"""Keys that have transformers run Python files of a folder; open_clip lets it ask whether it may."""
HUB_FILES = ("config.json", "tokenizer_config.json")


class OpenClipModel:
    """A model of open_clip in a local folder, with its config, safetensors and tokenizer; none of its code is run."""

    def __init__(self, folder: Path) -> None:
        try:
            import open_clip
        except ImportError as error:
            raise UserError("open_clip:… needs the package open_clip_torch; pip install open_clip_torch") from error
        if not any((folder / name).is_file() for name in WEIGHTS):
            raise UserError(f"open_clip:{folder}: no {WEIGHTS[0]} there; give a local folder that has one")
        _refuse_code(folder)
        name = f"local-dir:{folder}"
        try:
            model, _, self.transform = open_clip.create_model_and_transforms(name)
            self.tokenizer = open_clip.get_tokenizer(name)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise UserError(f"open_clip:{folder}: open_clip cannot load it ({first_line(error)})") from error
        # float32, since a text tower of transformers comes in the type that it was stored in
        self.model = model.to(device()).float().eval()
        self.digest = weights_digest(folder)
        self.logit_scale = learned_scale(self.model)
        self.size = edge(getattr(self.model.visual, "image_size", 0))

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images, repeated in three channels -> [n, D] embeddings of length 1."""
        return encode_pixels(pixels, "RGB", self.transform, self.model.encode_image)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1."""
        with torch.inference_mode():
            return unit(
                [self.model.encode_text(self.tokenizer(list(part)).to(device())) for part in batches(sentences)]
            )


def _refuse_code(folder: Path) -> None:
    """Compare every JSON file that open_clip may hand to transformers with :data:`CODE`.

    Raises:
        UserError: one would have code run.
    """
    for file in _json_files(folder):
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # whoever needs it says what is wrong
        key = next((key for key in _keys(value) if key in CODE), None)
        if key is not None:
            raise UserError(
                f"open_clip:{folder}: {file} has {key!r}, so the model needs Python code of its own, and "
                "mmclip runs none; remove the key if transformers knows the architecture, else evaluate another model"
            )


def _json_files(folder: Path) -> Iterator[Path]:
    """Those in the folder, and those of text towers and tokenizers elsewhere that its configuration names."""
    yield from sorted(folder.rglob("*.json"))
    try:
        text = json.loads((folder / OPEN_CLIP_CONFIG).read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
        names = [str(text[key]) for key in ("hf_model_name", "hf_tokenizer_name") if text.get(key)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # open_clip says what is wrong
    for name in names:
        if Path(name).is_dir():
            yield from sorted(Path(name).glob("*.json"))
            continue
        with contextlib.suppress(HFValidationError):
            cached = [try_to_load_from_cache(name, wanted) for wanted in HUB_FILES]
            yield from (Path(file) for file in cached if isinstance(file, str))


def _keys(value: Any) -> Iterator[str]:
    """Every key of a JSON value, however deep."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _keys(part)
