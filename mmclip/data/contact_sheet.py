"""What a model sees: packed images, and what augmentation makes of them, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmclip.config.augmentation import Augmentation
from mmclip.data.augment import Pixels, augment, plain
from mmclip.data.packed import PackedImages
from mmclip.data.randomness import generator, id_hashes
from mmclip.tables.files import PRIVATE, atomic

_GAP = 4
_GAP_LEVEL = 128


def contact_sheet(
    packs: PackedImages, image_ids: Sequence[str], settings: Augmentation, size: int, seed: int, epochs: int
) -> Pixels:
    """A row for each image: as it is packed, as it is evaluated, and as it is trained on in the first epochs.

    Args:
        settings: of the training.
        size: the model's input, in pixels; packed images are shown at their own size.
        seed: of the run; the pictures are the very ones that it trains on.

    Returns:
        uint8 [height, width].
    """
    squares = packs.read(image_ids)
    columns = [plain(squares, size)[:, 0]]
    for epoch in range(epochs):
        rounds = np.full(len(squares), epoch, np.int64)
        columns.append(augment(squares, settings, size, seed, id_hashes(image_ids), rounds)[:, 0])
    rows = [
        _beside([square, *(column[number] for column in columns)], across=True) for number, square in enumerate(squares)
    ]
    return _beside(rows, across=False)


def choose(image_ids: Sequence[str], count: int, seed: int) -> list[str]:
    """Some of the images, drawn at random."""
    chosen = generator(seed, "contact sheet").permutation(len(image_ids))[:count]
    return [image_ids[number] for number in chosen]


def write_sheet(sheet: Pixels, path: Path) -> None:
    """Write the sheet as PNG that only its owner may read: it shows patients."""
    data = cv2.imencode(".png", sheet)[1].tobytes()
    with atomic(path, PRIVATE) as temporary:
        temporary.write_bytes(data)


def _beside(pictures: Sequence[Pixels], across: bool) -> Pixels:
    """Pictures side by side, or one below the other, with gaps."""
    axis = 1 if across else 0
    extent = max((picture.shape[1 - axis] for picture in pictures), default=0)
    parts: list[Pixels] = []
    for picture in pictures:
        missing = extent - picture.shape[1 - axis]
        padding = ((0, missing), (0, _GAP)) if across else ((0, _GAP), (0, missing))
        parts.append(np.pad(picture, padding, constant_values=_GAP_LEVEL))
    return np.concatenate(parts, axis=axis) if parts else np.zeros((0, 0), np.uint8)
