"""Rows and columns that belong together by an id: how many there are, and their sums, without comparing all pairs.

Sums are made a block of rows at a time, so that no second copy of the rows is held; the same bits run to run, and the
host does not wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2048
"""Rows taken at once on the CPU: 4 MB of 512 numbers each, which stay in the cache. A GPU takes all at once, where many
small calls would cost more than the memory."""


def blocks(rows: Tensor) -> Iterator[slice]:
    """Where the blocks of `rows` [n, ...] lie."""
    size = max(1, len(rows)) if rows.is_cuda else BLOCK
    return (slice(start, start + size) for start in range(0, len(rows), size))


def occurrences(wanted: Tensor, among: Tensor) -> Tensor:
    """How often each id of `wanted` [n] occurs in `among` [m]."""
    ordered = among.sort().values
    return torch.searchsorted(ordered, wanted, right=True) - torch.searchsorted(ordered, wanted)


@dataclass(frozen=True)
class SumsById:
    """The sum of the rows of each id.

    Attributes:
        ids: sorted, [m].
        sums: [m, D]; the row of the first of equal ids holds their sum.
    """

    ids: Tensor
    sums: Tensor

    @classmethod
    def of(cls, ids: Tensor, rows: Tensor, weights: Tensor) -> SumsById:
        """Of rows [m, D] with ids [m], each multiplied by its weight [m], whose type the sums have."""
        ordered = ids.sort().values
        places = torch.searchsorted(ordered, ids)
        sums = weights.new_zeros(rows.shape)
        for block in blocks(rows):
            add_rows(sums, places[block], weights[block, None] * rows[block])
        return cls(ordered, sums)

    def look_up(self, wanted: Tensor) -> Tensor:
        """The sums [n, D] of ids [n]; 0 for an id that no row has."""
        if len(self.ids) == 0:
            return self.sums.new_zeros((len(wanted), self.sums.shape[1]))
        found = torch.searchsorted(self.ids, wanted).clamp(max=len(self.ids) - 1)
        return torch.where((self.ids[found] == wanted)[:, None], self.sums[found], 0)


def sums_of_kinds(rows: Tensor, kind: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """The sum over the rows of each kind, [count, D] of `dtype`, of rows [n, D] with kinds [n] from 0 to count - 1."""
    sums = torch.zeros((count, rows.shape[1]), dtype=dtype, device=rows.device)
    for block in blocks(rows):
        add_rows(sums, kind[block], rows[block].to(dtype))
    return sums


def add_rows(sums: Tensor, places: Tensor, rows: Tensor) -> None:
    """Add each row [n, D] to the row of `sums` at its place [n]."""
    if rows.is_cuda:
        sums.index_put_((places,), rows, accumulate=True)  # sorts first; index_add_ adds in any order there
    else:
        sums.index_add_(0, places, rows)
