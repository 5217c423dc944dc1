"""Bank conflicts: how many more turns of the shared memory a warp's access takes than it must.

The shared memory has 32 banks of 4 bytes. A warp's access is served in groups of lanes that fetch at most 128 bytes
together (32 lanes of 4 bytes, 16 of 8, 8 of 16; one row of eight lanes for each matrix of ldmatrix); in a group, two
different words of one bank take two turns (CUDA C++ Programming Guide, shared memory of compute capability 5.x to 9.x).
"""

from __future__ import annotations

import numpy as np

from tests.csrc.ptx.numbers import Array

_KNOWN: dict[tuple[int, bytes], int] = {}


def conflicts(addresses: Array, width: int, threads: Array) -> int:
    """The turns beyond one a group, for byte `addresses` of `width` bytes that `threads` of a block access at once."""
    lanes = 32 if width <= 4 else 128 // width
    key = (width, (addresses - addresses[0] // 128 * 128).tobytes() + threads.tobytes())
    if key not in _KNOWN:
        _KNOWN[key] = _count(addresses, width, threads // lanes)
    return _KNOWN[key]


def _count(addresses: Array, width: int, groups: Array) -> int:
    words = addresses[:, None] // 4 + np.arange(max(width // 4, 1))
    pairs = np.unique(np.stack([np.repeat(groups, words.shape[1]), words.reshape(-1)]), axis=1)
    _, turns = np.unique(pairs[0] * 32 + pairs[1] % 32, return_counts=True)
    group_of_bank = np.unique(pairs[0] * 32 + pairs[1] % 32) // 32
    return sum(int(turns[group_of_bank == group].max()) - 1 for group in np.unique(groups))
