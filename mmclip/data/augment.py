"""Random changes of training images: one warp and one change of grey levels, from uint8 to uint8.

The batch stays in uint8, a quarter of what floats would take on their way to the training device, where
:func:`mmclip.models.image_encoder.standardise` makes floats of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mmclip.config.augmentation import Augmentation
from mmclip.data.randomness import UInts, generator, uniforms

Pixels = npt.NDArray[np.uint8]
Draws = npt.NDArray[np.float64]

_DRAWS = 12
_NOISE = generator("film noise").standard_normal(1 << 21, dtype=np.float32)
"""Film noise, from a random place of which each noisy image takes what it needs; room for 1,024 x 1,024 pixels."""


def augment(
    images: Sequence[Pixels],
    settings: Augmentation,
    size: int,
    seed: int,
    items: UInts,
    rounds: npt.NDArray[np.int64],
    order: Sequence[int] | None = None,
) -> Pixels:
    """Randomly changed images.

    What happens to an image depends on the seed, its id and its epoch alone.

    Args:
        images: N uint8 squares, of any size.
        settings: how far each change may go.
        size: edge of the result in pixels.
        seed: of the run.
        items: [N] hashes of the image ids.
        rounds: [N] epochs.
        order: in which the images are read, where that is faster than their own order; it changes nothing else.

    Returns:
        uint8 [N, 1, size, size].
    """
    draws = uniforms(seed, items, rounds, _DRAWS)
    matrices = _warps(draws, settings, np.array([len(image) for image in images]), size)
    gains, offsets = _linear(draws, settings)
    tables = _tables(draws, settings, gains, offsets) if settings.gamma else None
    sigma = settings.noise * draws[:, 6] * 255
    starts = (draws[:, 11] * (len(_NOISE) - size**2)).astype(int)
    out = np.empty((len(images), 1, size, size), np.uint8)
    for number in range(len(images)) if order is None else order:
        target = out[number, 0]
        cv2.warpAffine(images[number], matrices[number], (size, size), target, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        if tables is not None:
            cv2.LUT(target, tables[number], target)
        elif settings.brightness or settings.contrast:  # half the time of a table
            cv2.addWeighted(target, gains[number], target, 0.0, offsets[number], target)
        if sigma[number]:
            noise = _NOISE[starts[number] : starts[number] + size**2] * np.float32(sigma[number])
            cv2.add(target, noise.reshape(size, size), target, dtype=cv2.CV_8U)
    return out


def plain(images: Sequence[Pixels], size: int) -> Pixels:
    """The images as they are, resized: uint8 [N, 1, size, size]."""
    out = np.empty((len(images), 1, size, size), np.uint8)
    for number, image in enumerate(images):
        if image.shape == (size, size):
            out[number, 0] = image
        else:
            cv2.resize(image, (size, size), out[number, 0], interpolation=cv2.INTER_AREA)
    return out


def _warps(draws: Draws, settings: Augmentation, sizes: npt.NDArray[np.int64], size: int) -> Draws:
    """Matrices [N, 2, 3] from a pixel of the result to a point of the source.

    A crop, a zoom, a rotation, a shear, a shift and a flip are one matrix, so that pixels are interpolated once.
    """
    angle = np.deg2rad(settings.rotate) * _signed(draws, 0)
    slant = np.tan(np.deg2rad(settings.shear) * _signed(draws, 9))
    low, high = settings.scale
    zoom = low + (high - low) * draws[:, 1]
    mirror = np.where(settings.flip & (draws[:, 8] < 0.5), -1.0, 1.0)
    step = sizes * settings.crop / size / zoom  # source pixels that one step in the result covers
    cos, sin = step * np.cos(angle), step * np.sin(angle)
    matrix = np.empty((len(draws), 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * cos, sin + slant * cos
    matrix[:, 1, 0], matrix[:, 1, 1] = -mirror * sin, cos - slant * sin
    middle, target = (sizes - 1) / 2, (size - 1) / 2
    reach = settings.translate + (1 - settings.crop) / 2
    shift = reach * sizes[:, None] * (2 * draws[:, 2:4] - 1)
    matrix[:, :, 2] = middle[:, None] + shift - matrix[:, :, :2].sum(axis=2) * target
    return matrix


def _linear(draws: Draws, settings: Augmentation) -> tuple[Draws, Draws]:
    """Factors [N] and summands [N] of the grey levels: contrast about the middle, then brightness."""
    contrast = 1 + settings.contrast * _signed(draws, 4)
    brightness = 1 + settings.brightness * _signed(draws, 5)
    return contrast * brightness, 127.5 * (1 - contrast) * brightness


def _tables(draws: Draws, settings: Augmentation, gains: Draws, offsets: Draws) -> Pixels:
    """Tables [N, 256] of grey levels: gamma, then the linear change."""
    exponent = 1 + settings.gamma * _signed(draws, 7)[:, None]
    levels = 255 * (np.arange(256) / 255) ** exponent
    return np.rint(np.clip(levels * gains[:, None] + offsets[:, None], 0, 255)).astype(np.uint8)


def _signed(draws: Draws, number: int) -> Draws:
    return 2 * draws[:, number] - 1
