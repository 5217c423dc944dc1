"""From density to a film: the patient's position, exposure, blur, grain and collimation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mmclip.phantom.chest import Mask
from mmclip.phantom.drawing import Layer, blur, grid

Pixels = NDArray[np.uint8]

_MARGIN = 64
"""How many pixels larger than the film the tile of grain is, in each direction."""


@dataclass(frozen=True)
class Film:
    """How one film was taken.

    Attributes:
        angle: rotation of the patient in degrees.
        shift: displacement (x, y) as a fraction of the edge.
        magnification: of the patient about the film's centre, from 1; larger the farther the patient is from it.
        contrast, midpoint: slope and centre of the film's response to density.
        tilt: uneven exposure across the film (x, y), in density.
        sharpness: standard deviation of the blur, as a fraction of the edge.
        grain: standard deviation of the noise, in density.
        offset: where in the tile of grain this film's noise starts.
        collimation: width of the dark border left, top, right and below, as a fraction of the edge.
    """

    angle: float
    shift: tuple[float, float]
    magnification: float
    contrast: float
    midpoint: float
    tilt: tuple[float, float]
    sharpness: float
    grain: float
    offset: tuple[int, int]
    collimation: tuple[float, float, float, float]


def draw_film(rng: np.random.Generator) -> Film:
    """The conditions of a film, at random."""
    collimated = rng.random() < 0.35
    left, top, right, bottom = rng.uniform(0.0, 0.04, 4) * collimated
    return Film(
        angle=rng.normal(0, 1.6),
        shift=(rng.normal(0, 0.010), rng.normal(0, 0.010)),
        magnification=rng.uniform(1.0, 1.10),
        contrast=rng.uniform(4.5, 5.6),
        midpoint=rng.uniform(0.52, 0.62),
        tilt=(rng.normal(0, 0.025), rng.normal(0, 0.02)),
        sharpness=rng.uniform(0.0020, 0.0034),
        grain=rng.uniform(0.010, 0.022),
        offset=(int(rng.integers(_MARGIN)), int(rng.integers(_MARGIN))),
        collimation=(left, top, right, bottom),
    )


def expose(density: Layer, film: Film) -> Pixels:
    """The developed film [size, size]: white where the beam was stopped."""
    size = density.shape[0]
    x, y = grid(size)
    row, column = film.offset
    grain = _grain(size)[row : row + size, column : column + size]
    seen = blur(_moved(density, film), film.sharpness) + np.float32(film.grain) * grain
    seen += np.float32(film.tilt[0]) * (x - np.float32(0.5)) + np.float32(film.tilt[1]) * (y - np.float32(0.5))
    brightness = 255 / (1 + np.exp(np.float32(-film.contrast) * (seen - np.float32(film.midpoint))))
    left, top, right, bottom = film.collimation
    brightness[(x < left) | (x > 1 - right) | (y < top) | (y > 1 - bottom)] *= np.float32(0.12)
    developed: Pixels = np.round(brightness).astype(np.uint8)
    return developed


def moved_mask(mask: Mask, film: Film) -> Mask:
    """A finding's mask where the film shows it."""
    return _moved(mask.astype(np.float32), film) > 0.5


def _moved(values: Layer, film: Film) -> Layer:
    size = values.shape[0]
    turn = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), film.angle, film.magnification)
    turn[:, 2] += np.asarray(film.shift) * size
    out = cv2.warpAffine(values, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=np.float32)


@lru_cache
def _grain(size: int) -> Layer:
    """A tile of film grain, of deviation 1: white noise with a little correlation between neighbours."""
    white = np.random.default_rng(0).standard_normal((size + _MARGIN, size + _MARGIN), dtype=np.float32)
    grain = white + np.asarray(cv2.GaussianBlur(white, (0, 0), 1.0), dtype=np.float32)
    grain /= grain.std()
    grain.flags.writeable = False
    return grain
