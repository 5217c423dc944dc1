"""An image in the middle of a black square."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmclip.imaging.decode import Gray


@dataclass(frozen=True)
class Placement:
    """Where an original lies in its square: packed = original * scale + offset, in pixels counted from the edges.

    Edges are rounded to whole pixels, so that along the shorter edge the scale is off by up to half a pixel in all.
    """

    width: int
    height: int
    scale: float
    offset_x: int
    offset_y: int


def place(width: int, height: int, size: int) -> Placement:
    """The largest placement of an original of this many pixels in a square of `size`, aspect kept, centred."""
    scale = size / max(width, height)
    inner_width, inner_height = _inner(width, height, size)
    return Placement(width, height, scale, (size - inner_width) // 2, (size - inner_height) // 2)


def letterbox(pixels: Gray, placement: Placement, size: int) -> Gray:
    """The square [size, size] with the image resized into its placement and black around it.

    Args:
        pixels: the original, or a smaller version of it.

    Shrinking averages areas, which does not alias; enlarging interpolates linearly.
    """
    inner = _inner(placement.width, placement.height, size)
    shrinks = inner[0] <= pixels.shape[1] and inner[1] <= pixels.shape[0]
    resized = cv2.resize(pixels, inner, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    square = np.zeros((size, size), dtype=np.uint8)
    x, y = placement.offset_x, placement.offset_y
    square[y : y + inner[1], x : x + inner[0]] = resized
    return square


def _inner(width: int, height: int, size: int) -> tuple[int, int]:
    scale = size / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
