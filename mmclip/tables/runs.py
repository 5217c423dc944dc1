"""Run lengths of a mask, as the `masks` table stores them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of a mask [height, width] in row-major order: background, foreground, background, ...

    The first run is background and is 0 where the mask starts with foreground; the lengths add up to the pixels.
    """
    flat = np.concatenate([[False], np.asarray(mask, dtype=bool).ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(run) for run in np.diff(np.concatenate([[0], changes, [flat.size - 1]]))]


def decode_runs(runs: list[int], width: int, height: int) -> NDArray[np.bool_]:
    """The mask [height, width] of :func:`encode_runs`.

    Raises:
        ValueError: the runs do not add up to width * height.
    """
    if sum(runs) != width * height:
        raise ValueError(f"runs add up to {sum(runs)} pixels, expected {width} x {height} = {width * height}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(height, width)
