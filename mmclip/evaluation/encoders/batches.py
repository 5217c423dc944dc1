"""What every encoder does with its inputs and outputs: batches, pictures, unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Embeddings = NDArray[np.float32]

BATCH = 128
"""Images or texts that are encoded at a time."""

DEFAULT_SCALE = 100.0
"""The multiplier of cosines for a model that stores none: CLIP's bound."""


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learned_scale(model: Any) -> float:
    """exp(`logit_scale`), as CLIP, SigLIP and open_clip's models store it."""
    learned = getattr(model, "logit_scale", None)
    return DEFAULT_SCALE if learned is None else float(learned.detach().exp())


def edge(size: Any) -> int:
    """Pixels along the longer edge of a size: one number or a pair; 0 where a model says none."""
    return int(max(size)) if isinstance(size, list | tuple) else int(size or 0)


def batches(items: Any, size: int = BATCH) -> list[Any]:
    """Consecutive parts."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def pictures(pixels: NDArray[np.uint8], mode: str = "RGB") -> list[Image.Image]:
    """Grey images [n, H, W] as pictures, in colour or (mode ``L``) grey."""
    return [Image.fromarray(one).convert(mode) for one in pixels]


def unit(parts: Sequence[Tensor]) -> Embeddings:
    """The embeddings of all batches, of length 1."""
    return np.asarray(torch.nn.functional.normalize(torch.cat(list(parts)).float(), dim=1).cpu().numpy())


def encode_pixels(
    pixels: NDArray[np.uint8], mode: str, transform: Callable[[Image.Image], Tensor], encode: Callable[[Tensor], Tensor]
) -> Embeddings:
    """Unit embeddings of grey images, each made a tensor by `transform` first."""
    place = device()
    with torch.inference_mode():
        return unit(
            [
                encode(torch.stack([transform(picture) for picture in pictures(part, mode)]).to(place))
                for part in batches(pixels)
            ]
        )


def encode_tokens(rows: Sequence[Sequence[int]], encode: Callable[[Tensor], Tensor]) -> Embeddings:
    """Unit embeddings of token ids, rows of one length together: nothing is padded, so nothing depends on neighbours.

    Args:
        encode: ids [n, W] -> embeddings [n, D].
    """
    by_length: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        by_length.setdefault(len(row), []).append(number)
    place = device()
    found: dict[int, Tensor] = {}
    with torch.inference_mode():
        for numbers in by_length.values():
            for part in batches(numbers):
                embedded = encode(torch.tensor([rows[number] for number in part], device=place))
                found |= dict(zip(part, embedded, strict=True))
    return unit([torch.stack([found[number] for number in range(len(rows))])])


def first_line(error: Exception) -> str:
    """What an error says, or its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
