"""The pulmonary vessels: trees that fan out from the hila and thin towards the pleura."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmclip.phantom.anatomy import HILA, SIDES, Anatomy
from mmclip.phantom.drawing import Canvas, Points, stroke

_SAMPLES = 7
_WIDTHS = (0.0105, 0.0062, 0.0038)
"""Width of the vessels of each generation near its root, in unit coordinates."""
_GREYS = (0.85, 0.58, 0.42)
_TAPER = ((4, 0.45), (2, 0.72), (0, 1.0))
"""Where along a branch each piece starts, and its share of the width; the thinnest is drawn first."""


def tree(anatomy: Anatomy, side: str) -> list[Points]:
    """The three generations of one lung's vessels, each [branches, samples, 2] in image coordinates."""
    rng = np.random.default_rng((anatomy.seed, SIDES[side] + 1))
    sign = SIDES[side]
    n = 11
    # Angles from straight up to steeply down, measured from the lateral direction; lower vessels are longer.
    angles = np.linspace(-1.35, 1.30, n) + rng.normal(0, 0.09, n)
    lengths = anatomy.half_width * np.interp(angles, [-1.3, 0.0, 0.9, 1.3], [0.58, 0.52, 0.74, 0.70])
    x, y = anatomy.point(*HILA[side])
    roots = np.stack([x + rng.normal(0, 0.012, n), y + angles * 0.022], axis=1)
    first = _grow(roots, angles, lengths * rng.uniform(0.8, 1.05, n), rng.normal(0, 0.6, n), sign)
    second, bearings, reach = _branch(first, angles, lengths, 4, rng, sign)
    third, _, _ = _branch(second, bearings, reach, 2, rng, sign)
    return [first, second, third]


def _grow(
    roots: NDArray[np.float64],
    angles: NDArray[np.float64],
    lengths: NDArray[np.float64],
    bends: NDArray[np.float64],
    sign: int,
) -> Points:
    """Curves [n, samples, 2] that start at `roots` towards `angles` and turn by `bends` radians on their way."""
    t = np.linspace(0, 1, _SAMPLES)
    bearing = angles[:, None] + bends[:, None] * t
    steps = (lengths / (_SAMPLES - 1))[:, None, None] * np.stack([sign * np.cos(bearing), np.sin(bearing)], axis=2)
    steps[:, 0] = 0
    grown: Points = roots[:, None] + np.cumsum(steps, axis=1)
    return grown


def _branch(
    parents: Points,
    angles: NDArray[np.float64],
    lengths: NDArray[np.float64],
    children: int,
    rng: np.random.Generator,
    sign: int,
) -> tuple[Points, NDArray[np.float64], NDArray[np.float64]]:
    """The children of every parent, alternately on its two flanks, with their bearings and lengths."""
    n = len(parents) * children
    parent = np.repeat(np.arange(len(parents)), children)
    order = np.tile(np.arange(children), len(parents))
    at = 1 + np.round(order * (_SAMPLES - 3) / max(children - 1, 1)).astype(int)
    turn = np.where(order % 2 == 0, 1, -1) * rng.uniform(0.35, 0.95, n)
    bearings, reach = angles[parent] + turn, lengths[parent] * rng.uniform(0.35, 0.6, n)
    return _grow(parents[parent, at], bearings, reach, rng.normal(0, 0.5, n), sign), bearings, reach


def draw_tree(canvas: Canvas, generations: list[Points], swelling: float = 1.0) -> None:
    """Draws a tree onto a canvas, thin vessels first; `swelling` multiplies the widths, as congestion does."""
    for branches, width, grey in reversed(list(zip(generations, _WIDTHS, _GREYS, strict=False))):
        for first, taper in _TAPER:
            stroke(canvas, branches[:, first : first + 3], taper * width * swelling, (0.4 + 0.6 * taper) * grey)
