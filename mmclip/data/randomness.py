"""Random numbers that are a pure function of what they are for, so that a resumed or parallel run draws the same.

Nothing here has a state: a draw is named by numbers and words (seed, step, image id, ...), not by what came before.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

UInts = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def generator(*key: int | str) -> np.random.Generator:
    """A numpy generator for the draw that `key` names."""
    return np.random.default_rng([zlib.crc32(part.encode()) if isinstance(part, str) else part for part in key])


def id_hashes(ids: Sequence[str]) -> UInts:
    """A 64-bit number for each id."""
    return np.array([zlib.crc32(text.encode()) << 32 | zlib.adler32(text.encode()) for text in ids], dtype=np.uint64)


def uniforms(seed: int, items: UInts, rounds: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1) for each item and round, without a generator object for each.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014) over a counter.

    Args:
        seed: of the run.
        items: [N] what the numbers are for, as :func:`id_hashes` gives.
        rounds: [N] which time it is for that item (its epoch).
        count: numbers an item.

    Returns:
        float64 [N, count].
    """
    with np.errstate(over="ignore"):
        base = _mix(items ^ _mix(np.uint64(seed) + _GOLDEN * (rounds.astype(np.uint64) + np.uint64(1))))
        bits = _mix(base[:, None] + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64))
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: UInts) -> UInts:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInts = value ^ (value >> np.uint64(31))
    return mixed
