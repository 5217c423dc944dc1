"""What the targets of both directions put on a pair, where that depends on groups of rows and of columns alone.

The loss is sum w_i lse_j S_ij + sum v_j lse_i S_ij - sum W_ij S_ij with W_ij = w_i P_ij + v_j Q_ij. Where W is constant
over groups of rows and of columns, the last sum, s sum_i x_i (W y)_i, needs only the sums of x and of y over each
group, and no sweep over the pairs. Its gradients are s W y and s W^T x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mmclip.ops.matching import SumsById, blocks, sums_of_kinds


@dataclass(frozen=True)
class Pull:
    """W of N rows and any columns. No N x D matrix is made of it, but a block of rows at a time.

    Attributes:
        values: [N]: W_ij is that of the row where the ids of row and column agree, else 0; or [K, K']: W_ij is that of
            the kinds of row and column, which the ids then are. Of the accumulate type.
        row_ids: [N]; None: row i belongs to column i alone, and columns have no ids.
    """

    values: Tensor
    row_ids: Tensor | None

    def sum_of_logits(self, x: Tensor, y: Tensor, column_ids: Tensor | None) -> Tensor:
        """sum W_ij x_i y_j, [], of the rows x [N, D] and columns y [M, D] with ids [M]."""
        total = self.values.new_zeros(())
        for rows, part in self._of_rows(y, column_ids):
            total = total + torch.linalg.vecdot(x[rows].to(part.dtype), part).sum()
        return total

    def subtract(self, grad_x: Tensor, grad_y: Tensor, x: Tensor, y: Tensor, column_ids: Tensor | None) -> None:
        """Take W y from grad_x [N, D] and W^T x from grad_y [M, D], in place."""
        for rows, part in self._of_rows(y, column_ids):
            grad_x[rows] -= part
        for columns, part in self._of_columns(x, column_ids):
            grad_y[columns] -= part

    def _of_rows(self, y: Tensor, column_ids: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        """W y, a block of rows at a time."""
        if self.row_ids is None or column_ids is None:
            yield from self._of_places(y)
        elif self.values.dim() == 1:
            of_ids = SumsById.of(column_ids, y, self.values.new_ones(len(y)))
            for rows in blocks(self.row_ids):
                yield rows, self.values[rows, None] * of_ids.look_up(self.row_ids[rows])
        else:
            of_kinds = self.values @ sums_of_kinds(y, column_ids, self.values.shape[1], self.values.dtype)
            for rows in blocks(self.row_ids):
                yield rows, of_kinds[self.row_ids[rows]]

    def _of_columns(self, x: Tensor, column_ids: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        """W^T x, a block of columns at a time."""
        if self.row_ids is None or column_ids is None:
            yield from self._of_places(x)
        elif self.values.dim() == 1:
            of_ids = SumsById.of(self.row_ids, x, self.values)
            for columns in blocks(column_ids):
                yield columns, of_ids.look_up(column_ids[columns])
        else:
            of_kinds = self.values.T @ sums_of_kinds(x, self.row_ids, len(self.values), self.values.dtype)
            for columns in blocks(column_ids):
                yield columns, of_kinds[column_ids[columns]]

    def _of_places(self, other: Tensor) -> Iterator[tuple[slice, Tensor]]:
        for rows in blocks(other):
            yield rows, self.values[rows, None] * other[rows]
