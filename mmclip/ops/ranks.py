"""Which rows and columns of the loss each process has."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mmclip.ops.collectives import Group, gather_rows, own_rank, split_rows, sum_over_ranks


@dataclass(frozen=True)
class Ranks:
    """The numbers of rows and of columns of each rank; one process, without a group, is the only rank.

    Attributes:
        rows, columns: of each rank.
        group: the process group, or None.
    """

    rows: list[int]
    columns: list[int]
    group: Group | None = None

    @property
    def count(self) -> int:
        """How many ranks there are."""
        return len(self.rows)

    @property
    def own(self) -> int:
        """Which rank this process is."""
        return 0 if self.group is None else own_rank(self.group)

    @property
    def first_row(self) -> int:
        """The place of this process's first row among all rows."""
        return sum(self.rows[: self.own])

    def gather_rows(self, local: Tensor) -> Tensor:
        """What belongs to the rows of all ranks, [sum(rows), ...], from what belongs to this one's."""
        return local if self.group is None else gather_rows(local, self.rows, self.group)

    def gather_columns(self, local: Tensor) -> Tensor:
        """What belongs to the columns of all ranks, [sum(columns), ...]."""
        return local if self.group is None else gather_rows(local, self.columns, self.group)

    def own_rows(self, everywhere: Tensor) -> Tensor:
        """The part of `everywhere` [sum(rows), ...] that belongs to this process's rows."""
        return split_rows(everywhere, self.rows)[self.own]

    def own_columns(self, everywhere: Tensor) -> Tensor:
        """The part of `everywhere` [sum(columns), ...] that belongs to this process's columns."""
        return split_rows(everywhere, self.columns)[self.own]

    def sum(self, local: Tensor) -> Tensor:
        """The sum over all ranks."""
        return local if self.group is None else sum_over_ranks(local, self.group)
