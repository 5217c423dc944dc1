"""Drawing on square layers in unit coordinates: x to the right and y down, both from 0 to 1 whatever the size.

A `Layer` is float32 [size, size]; a `Canvas` is uint8, as OpenCV draws anti-aliased lines on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""A curve or an outline: [n, 2] of (x, y)."""
Layer = NDArray[np.float32]
Canvas = NDArray[np.uint8]

_FRACTION_BITS = 4
"""OpenCV's fixed-point coordinates: sixteenths of a pixel."""


def smooth(points: Points | list[tuple[float, float]], closed: bool = False, steps: int = 6) -> Points:
    """A Catmull-Rom spline through `points` [n, 2], with `steps` samples a segment."""
    p = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([p[-1:], p, p[:2]])
    else:
        padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    windows = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)
    curve = np.einsum("tk,nkc->ntc", _basis(steps), windows).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


@lru_cache
def _basis(steps: int) -> Points:
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    powers = np.concatenate([np.ones_like(t), t, t**2, t**3], axis=1)
    return 0.5 * powers @ np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=np.float64)


def blank(size: int) -> Canvas:
    """An empty canvas."""
    return np.zeros((size, size), dtype=np.uint8)


def _fixed(points: Points, size: int) -> NDArray[np.int32]:
    return np.round((points * size - 0.5) * (1 << _FRACTION_BITS)).astype(np.int32)


def fill(outlines: Iterable[Points], size: int) -> Layer:
    """The coverage, 0 to 1, of closed outlines."""
    canvas = blank(size)
    for outline in outlines:
        cv2.fillPoly(canvas, [_fixed(outline, size)], 255, cv2.LINE_AA, _FRACTION_BITS)
    return layer(canvas)


def stroke(canvas: Canvas, lines: Sequence[Points] | Points, width: float, value: float = 1.0) -> None:
    """Draws lines (a list of curves, or one array [n, samples, 2]) of a width and a brightness of 0 to 1.

    The width is in unit coordinates. OpenCV's thinnest line is one pixel: a thinner one is drawn fainter instead.
    """
    size = canvas.shape[0]
    thickness = max(1, round(width * size))
    grey = round(255 * value * min(1.0, width * size))
    if isinstance(lines, np.ndarray):
        fixed = list(_fixed(lines, size))
    else:
        ends = np.cumsum([len(line) for line in lines])[:-1]
        fixed = np.split(_fixed(np.concatenate(lines), size), ends)
    cv2.polylines(canvas, fixed, False, grey, thickness, cv2.LINE_AA, _FRACTION_BITS)


def disc(centre: tuple[float, float], radius_x: float, radius_y: float) -> Points:
    """The outline of an ellipse [24, 2]."""
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([centre[0] + radius_x * np.cos(t), centre[1] + radius_y * np.sin(t)], axis=1)


def layer(canvas: Canvas) -> Layer:
    """The canvas as a layer of 0 to 1."""
    return canvas.astype(np.float32) / np.float32(255)


def blur(values: Layer, width: float) -> Layer:
    """A Gaussian blur of standard deviation `width` in unit coordinates; a wide one on a coarser grid."""
    size = values.shape[0]
    factor = max(1, int(width * size / 2))
    if factor > 1:
        values = cv2.resize(values, (size // factor, size // factor), interpolation=cv2.INTER_AREA).astype(np.float32)
    sigma = max(width * values.shape[0], 0.3)
    out = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    if factor > 1:
        out = cv2.resize(out, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(out, dtype=np.float32)


@lru_cache
def grid(size: int) -> tuple[Layer, Layer]:
    """The x and y, in unit coordinates, of every pixel's centre."""
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = np.meshgrid(centres, centres)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def clouds(rng: np.random.Generator, cells: int, size: int) -> Layer:
    """Smooth noise of mean about 0 and deviation about 1, with `cells` independent values along a side."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
