"""Random changes of training images: one warp, then one table from grey level to standardised value."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mmclip.config.models import ImageTower
from mmclip.config.training import Augmentation
from mmclip.data.randomness import UInts, generator, uniforms

Floats = npt.NDArray[np.float32]

_DRAWS = 9
_NOISE = generator("film noise").standard_normal(1 << 20, dtype=np.float32)


def augment(
    images: Sequence[np.ndarray],
    settings: Augmentation,
    tower: ImageTower,
    seed: int,
    items: UInts,
    rounds: npt.NDArray[np.int64],
) -> Floats:
    """Randomly changed, standardised images.

    What happens to an image depends on the seed, its id and its epoch alone.

    Args:
        images: N uint8 squares, of any size.
        settings: how far each change may go.
        tower: size and standardisation.
        seed: of the run.
        items: [N] hashes of the image ids.
        rounds: [N] epochs.

    Returns:
        float32 [N, 1, size, size].
    """
    draws = uniforms(seed, items, rounds, _DRAWS)
    matrices = _warps(draws, settings, np.array([len(image) for image in images]), tower.size)
    tables = _tables(draws, settings, tower)
    sigma = settings.noise * draws[:, 6] / tower.std
    offsets = (draws[:, 7] * (len(_NOISE) - tower.size**2)).astype(int)
    out = np.empty((len(images), 1, tower.size, tower.size), np.float32)
    for number, image in enumerate(images):
        warped = cv2.warpAffine(
            image, matrices[number], (tower.size, tower.size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        out[number, 0] = tables[number][warped]
        if sigma[number]:
            noise = _NOISE[offsets[number] : offsets[number] + tower.size**2]
            out[number, 0] += np.float32(sigma[number]) * noise.reshape(tower.size, tower.size)
    return out


def plain(images: Sequence[np.ndarray], tower: ImageTower) -> Floats:
    """The images as they are, resized and standardised: float32 [N, 1, size, size]."""
    table = ((np.arange(256) / 255 - tower.mean) / tower.std).astype(np.float32)
    edge = (tower.size, tower.size)
    sized = [
        image if image.shape == edge else cv2.resize(np.ascontiguousarray(image), edge, interpolation=cv2.INTER_AREA)
        for image in images
    ]
    stacked = np.stack(sized) if sized else np.empty((0, *edge), np.uint8)
    return table[stacked][:, None]


def _warps(draws: npt.NDArray[np.float64], settings: Augmentation, sizes: np.ndarray, size: int) -> np.ndarray:
    """Matrices [N, 2, 3] from a pixel of the result to a point of the source: rotation, zoom, shift, flip."""
    angle = np.deg2rad(settings.rotate) * (2 * draws[:, 0] - 1)
    low, high = settings.scale
    zoom = low + (high - low) * draws[:, 1]
    mirror = np.where(settings.flip & (draws[:, 8] < 0.5), -1.0, 1.0)
    step = sizes / size / zoom  # source pixels that one step in the result covers
    cos, sin = step * np.cos(angle), step * np.sin(angle)
    matrix = np.empty((len(draws), 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = mirror * cos, sin
    matrix[:, 1, 0], matrix[:, 1, 1] = -mirror * sin, cos
    middle, target = (sizes - 1) / 2, (size - 1) / 2
    shift = settings.translate * sizes[:, None] * (2 * draws[:, 2:4] - 1)
    matrix[:, :, 2] = middle[:, None] + shift - matrix[:, :, :2].sum(axis=2) * target
    return matrix


def _tables(draws: npt.NDArray[np.float64], settings: Augmentation, tower: ImageTower) -> Floats:
    """Tables [N, 256] from grey level to standardised value: gamma, then contrast about the middle, then brightness."""
    levels = np.arange(256) / 255
    exponent = 1 + settings.gamma * (2 * draws[:, 7:8] - 1)
    contrast = 1 + settings.contrast * (2 * draws[:, 4:5] - 1)
    brightness = 1 + settings.brightness * (2 * draws[:, 5:6] - 1)
    changed = ((levels**exponent - 0.5) * contrast + 0.5) * brightness
    return ((np.clip(changed, 0, 1) - tower.mean) / tower.std).astype(np.float32)
