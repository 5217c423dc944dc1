"""Arithmetic on rows of unequal length that lie one after the other in a flat array."""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmclip.data.targets import make_exclusive
from mmclip.observations import NO_FINDING, OBSERVATIONS

Ints = npt.NDArray[np.int64]
SmallInts = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float32]


class GrowingInts:
    """A flat int32 array that grows in place: joining parts at the end would hold everything twice."""

    def __init__(self) -> None:
        self._values = array("i")

    def __len__(self) -> int:
        return len(self._values)

    def append(self, part: npt.NDArray[np.integer]) -> None:
        """Add values, which must fit into 32 bits."""
        self._values.frombytes(part.astype(np.int32).data.cast("B"))

    def array(self) -> SmallInts:
        """What there is, without a copy; nothing can be added any more."""
        return np.frombuffer(self._values, np.int32)


def starts_of(lengths: npt.NDArray[np.integer]) -> Ints:
    """Where each row starts, and at the end the total: [rows + 1]."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def combine_segments(vectors: Vectors, counts: Ints) -> Vectors:
    """Soft labels of texts from those of their sentences: the largest of each entry, for No Finding the smallest.

    The same rule as :func:`mmclip.data.targets.combine_vectors`, for many texts at once.

    Args:
        vectors: [S, L], text after text.
        counts: [M] sentences of each text, at least 1.

    Returns:
        [M, L].
    """
    starts = np.cumsum(counts) - counts
    combined: Vectors = np.maximum.reduceat(vectors, starts, axis=0)
    normal = OBSERVATIONS.index(NO_FINDING)
    combined[:, normal] = np.minimum.reduceat(vectors[:, normal], starts)
    return make_exclusive(combined)


def pad_rows(flat: Ints, lengths: Ints, start: int, end: int, padding: int, limit: int) -> tuple[Tensor, Tensor]:
    """Rows of ids, one after the other, as a framed matrix cut to `limit`: int64 [M, W] and its mask."""
    kept = np.minimum(lengths, limit - 2)
    width = int(kept.max()) + 2
    ids = np.full((len(kept), width), padding, np.int64)
    rows = np.repeat(np.arange(len(kept)), kept)
    ids[:, 0] = start
    ids[rows, 1 + ranges(np.zeros_like(kept), kept)] = flat[ranges(np.cumsum(lengths) - lengths, kept)]
    ids[np.arange(len(kept)), kept + 1] = end
    mask = (np.arange(width) < (kept + 2)[:, None]).astype(np.int64)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """start, start + 1, ... for each start, `lengths` numbers each, one after the other."""
    offsets = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    result: Ints = np.repeat(starts, lengths) + offsets
    return result


def segment_sums(values: Ints, counts: Ints) -> Ints:
    """Sums of consecutive runs of `values`; `counts` says how long each run is, at least 1."""
    result: Ints = np.add.reduceat(values, np.cumsum(counts) - counts)
    return result
