"""How the columns of all ranks come to the rows of each: all at once, or block after block round a ring.

Both forms show every column to a function of this rank, and bring what all ranks found out about a column back to the
rank that owns it. For y [M, D] of all W ranks each rank receives about M D numbers of y's type in forward (in the ring
again in backward), and M D of the accumulate type in backward; of anything else, only what grows with M.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

import torch
from torch import Tensor

from mmclip.ops import fused
from mmclip.ops.collectives import (
    Group,
    Transfer,
    gather_rows,
    merge_over_ranks,
    own_rank,
    pass_on,
    split_rows,
    sum_own_rows,
)


@dataclass(frozen=True)
class Columns:
    """Some columns of the loss, and what a rank must know to hold its rows against them; None is not exchanged.

    Attributes:
        y: embeddings, [m, D].
        labels: label rows, [m, L].
        ids: which rows belong to a column, [m].
        group: places in the relation of excluded pairs, [m].
        shift: for the gradient, [m, 2 or 1]: :func:`mmclip.ops.fused.shifts`, transposed.
    """

    y: Tensor
    labels: Tensor | None = None
    ids: Tensor | None = None
    group: Tensor | None = None
    shift: Tensor | None = None

    def present(self) -> dict[str, Tensor]:
        """The fields that are there."""
        there = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in there.items() if tensor is not None}


Visit = Callable[[Columns], Tensor]
"""From columns to what this rank's rows add to their statistics, [K, m], or to their gradient, [m, D]."""


class Exchange(Protocol):
    """Every column to every rank's function, and the results back to the column's owner."""

    @property
    def group(self) -> Group:
        """The process group."""

    def collect(self, own: Columns) -> Columns:
        """From this rank's columns, those that it keeps for the visits."""

    def with_shift(self, kept: Columns, shift: Tensor) -> Columns:
        """What is kept, with the shift [2 or 1, m] of this rank's columns for the coming visits."""

    def merged(self, kept: Columns, visit: Visit) -> Tensor:
        """The statistics [K, m] of this rank's columns over the rows of all ranks."""

    def summed(self, kept: Columns, visit: Visit) -> Tensor:
        """The gradient [m, D] of this rank's columns, summed over the rows of all ranks."""


@dataclass(frozen=True)
class Gathered:
    """Each rank keeps the columns of all: one visit, O(M D) memory, the fewest messages.

    Attributes:
        sizes: the number of columns of each rank.
        group: the process group.
    """

    sizes: list[int]
    group: Group

    def collect(self, own: Columns) -> Columns:
        return Columns(**{name: gather_rows(rows, self.sizes, self.group) for name, rows in own.present().items()})

    def with_shift(self, kept: Columns, shift: Tensor) -> Columns:
        return replace(kept, shift=gather_rows(shift.T, self.sizes, self.group))

    def merged(self, kept: Columns, visit: Visit) -> Tensor:
        merged = merge_over_ranks(visit(kept), self.group)
        return split_rows(merged.T, self.sizes)[own_rank(self.group)].T

    def summed(self, kept: Columns, visit: Visit) -> Tensor:
        return sum_own_rows(visit(kept), self.sizes, self.group)


@dataclass(frozen=True)
class Ring:
    """Each rank's columns travel once round all ranks: as many visits as ranks, O(M D / ranks) memory.

    While a block is visited, it is already on its way to the next rank; what was found out about it follows one step
    behind, so that both transfers run beside the computation.

    Attributes:
        sizes: the number of columns of each rank.
        group: the process group.
    """

    sizes: list[int]
    group: Group

    def collect(self, own: Columns) -> Columns:
        return own

    def with_shift(self, kept: Columns, shift: Tensor) -> Columns:
        return replace(kept, shift=shift.T.contiguous())

    def merged(self, kept: Columns, visit: Visit) -> Tensor:
        return self._round(kept, visit, fused.merge, 1)

    def summed(self, kept: Columns, visit: Visit) -> Tensor:
        return self._round(kept, visit, torch.add, 0)

    def _round(self, columns: Columns, visit: Visit, combine: Callable[[Tensor, Tensor], Tensor], dim: int) -> Tensor:
        """One round; `dim` is the dimension of a visit's result that counts columns."""
        rank, ranks = own_rank(self.group), len(self.sizes)
        following: Transfer | None = None
        for step in range(ranks):
            coming = self.sizes[(rank - step - 1) % ranks]  # how many columns the rank before holds now
            last = step == ranks - 1
            onward = None if last else self._start(list(columns.present().values()), coming, 0, _BLOCK_TAG)
            found = visit(columns)
            if following is not None:
                found = combine(following.wait()[0], found)
            following = self._start([found], coming, dim, _FOUND_TAG)
            if onward is not None:
                columns = Columns(**dict(zip(columns.present(), onward.wait(), strict=True)))
        assert following is not None
        return following.wait()[0]

    def _start(self, tensors: Sequence[Tensor], count: int, dim: int, tag: int) -> Transfer:
        shapes = [(*tensor.shape[:dim], count, *tensor.shape[dim + 1 :]) for tensor in tensors]
        return pass_on(tensors, shapes, self.group, tag)


_BLOCK_TAG, _FOUND_TAG = 0, len(fields(Columns))
