"""Some images decoded and resized: the unit of work of one process."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mmclip.data.image_header import BadImage
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import letterbox, place


@dataclass(frozen=True)
class Entry:
    """An image of the `images` table: its id, its file, and the checksum that it had when it was ingested."""

    image_id: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Block:
    """Packed squares [images, size, size] with their rows of the index (without `row`), and what was left out."""

    pixels: NDArray[np.uint8]
    index: list[dict[str, object]]
    skipped: list[tuple[str, str]]


def pack_block(entries: list[Entry], size: int, pixel_limit: int) -> Block:
    """Pack the entries in order."""
    cv2.setNumThreads(1)  # processes share the cores already
    squares: list[NDArray[np.uint8]] = []
    index: list[dict[str, object]] = []
    skipped: list[tuple[str, str]] = []
    for entry in entries:
        try:
            square, row = _pack_one(entry, size, pixel_limit)
        except BadImage as bad:
            skipped.append((entry.image_id, bad.reason))
            continue
        squares.append(square)
        index.append(row)
    pixels = np.stack(squares) if squares else np.empty((0, size, size), dtype=np.uint8)
    return Block(pixels, index, skipped)


def _pack_one(entry: Entry, size: int, pixel_limit: int) -> tuple[NDArray[np.uint8], dict[str, object]]:
    try:
        data = entry.path.read_bytes()
    except OSError as error:
        raise BadImage("missing_file") from error
    if sha256(data).hexdigest() != entry.sha256:
        raise BadImage("changed_since_ingest")
    pixels, header = decode(data, size, pixel_limit)
    placement = place(header.width, header.height, size)
    square = letterbox(pixels, placement, size)
    return square, {
        "image_id": entry.image_id,
        "width": header.width,
        "height": header.height,
        "scale": placement.scale,
        "offset_x": placement.offset_x,
        "offset_y": placement.offset_y,
        "sha256": sha256(square.tobytes()).hexdigest(),
    }
