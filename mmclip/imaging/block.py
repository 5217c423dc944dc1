"""Some images decoded and resized: the unit of work of one process."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mmclip.config.imaging import PackSettings
from mmclip.data.image_header import BadImage
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import fit, letterbox, place
from mmclip.imaging.tone import Gray

_FILE_LIMIT = 512 * 2**20
"""Bytes of the largest file that is read; the pixel limit at 16 bits takes half of it."""


@dataclass(frozen=True)
class Entry:
    """An image of the `images` table: its id, its file, and the checksum that it had when it was ingested."""

    image_id: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Block:
    """Packed squares [images, size, size] with their rows of the index (without `shard` and `row`); what was left out.

    Attributes:
        entries: how many images were looked at.
    """

    pixels: NDArray[np.uint8]
    index: list[dict[str, object]]
    skipped: list[tuple[str, str]]
    entries: int


def pack_block(entries: list[Entry], settings: PackSettings) -> Block:
    """Pack the entries in order."""
    cv2.setNumThreads(1)  # processes share the cores already
    squares: list[Gray] = []
    index: list[dict[str, object]] = []
    skipped: list[tuple[str, str]] = []
    for entry in entries:
        try:
            square, row = _pack_one(entry, settings)
        except BadImage as bad:
            skipped.append((entry.image_id, bad.reason))
            continue
        squares.append(square)
        index.append(row)
    size = settings.size
    pixels = np.stack(squares) if squares else np.empty((0, size, size), dtype=np.uint8)
    return Block(pixels, index, skipped, len(entries))


def _pack_one(entry: Entry, settings: PackSettings) -> tuple[Gray, dict[str, object]]:
    data = _read(entry.path)
    if sha256(data).hexdigest() != entry.sha256:
        raise BadImage("changed_since_ingest")
    image = decode(data, settings)
    placement = place(image.header.width, image.header.height, settings.size)
    fitted = fit(image.pixels, placement, settings.size)
    grey, window = (fitted, None) if image.tone is None else image.tone.show(fitted)
    if grey.min() == grey.max():
        raise BadImage("constant")
    square = letterbox(grey, placement, settings.size)
    return square, {
        "image_id": entry.image_id,
        "width": placement.width,
        "height": placement.height,
        "frames": image.header.frames,
        "scale": placement.scale,
        "offset_x": placement.offset_x,
        "offset_y": placement.offset_y,
        "black": None if window is None else window[0],
        "white": None if window is None else window[1],
        "sha256": sha256(square.tobytes()).hexdigest(),
    }


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would never end
            raise BadImage("missing_file")
        if status.st_size > _FILE_LIMIT:
            raise BadImage("file_too_large")
        return path.read_bytes()
    except PermissionError as error:
        raise BadImage("unreadable_file") from error
    except OSError as error:
        raise BadImage("missing_file") from error
