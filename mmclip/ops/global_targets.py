"""What the targets of all ranks say about the rows and columns of one: which count, how much, and what belongs to what.

Where targets come from ids, the sum of targets times logits needs no sweep over pairs: with W_ij what the targets of
both directions put on a pair, sum_ij W_ij S_ij = s sum_i x_i (W y)_i, and W is constant over the pairs of one id.
:class:`Alignment` gives W y and W^T x for the rows of a rank and a block of columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from mmclip.ops.alignment import SMALLEST_SHARE, few_labels, sums_of_kinds
from mmclip.ops.collectives import Group, gather_rows, own_rank, split_rows, sum_over_ranks
from mmclip.ops.matching import occurrences, sum_where_equal


class Alignment(Protocol):
    """W of this rank's rows and any columns."""

    def of_rows(self, y: Tensor, column_ids: Tensor) -> Tensor:
        """W y, [n, D], of the columns y [m, D] with ids [m]."""

    def of_columns(self, x: Tensor, column_ids: Tensor) -> Tensor:
        """W^T x, [m, D], for the columns with ids [m]; x [n, D] are the rows."""


@dataclass(frozen=True)
class _OfIds:
    """W is `pull` of the row where the ids agree, else 0.

    Attributes:
        ids: of the rows, [n].
        pull: [n], of the accumulate type.
    """

    ids: Tensor
    pull: Tensor

    def of_rows(self, y: Tensor, column_ids: Tensor) -> Tensor:
        return self.pull[:, None] * sum_where_equal(y.to(self.pull.dtype), column_ids, self.ids)

    def of_columns(self, x: Tensor, column_ids: Tensor) -> Tensor:
        return sum_where_equal(self.pull[:, None] * x, self.ids, column_ids)


@dataclass(frozen=True)
class _OfKinds:
    """W depends on the kinds of row and column; a column's id is its kind.

    Attributes:
        kind: of the rows, [n].
        pull: [kinds of rows, kinds of columns], of the accumulate type.
    """

    kind: Tensor
    pull: Tensor

    def of_rows(self, y: Tensor, column_ids: Tensor) -> Tensor:
        return (self.pull @ sums_of_kinds(y.to(self.pull.dtype), column_ids, self.pull.shape[1]))[self.kind]

    def of_columns(self, x: Tensor, column_ids: Tensor) -> Tensor:
        return (self.pull.T @ sums_of_kinds(x.to(self.pull.dtype), self.kind, len(self.pull)))[column_ids]


@dataclass(frozen=True)
class Share:
    """This rank's part of the targets.

    Attributes:
        row_weight, column_weight: [n], [m], of the accumulate type: 1 / (2 * all that count), or 0 where one has no
            target on any rank and is left out of its mean.
        alignment: where targets come from ids, or from few labels; else None.
        floor: this rank's part of the entropy of such targets; else None.
    """

    row_weight: Tensor
    column_weight: Tensor
    alignment: Alignment | None = None
    floor: Tensor | None = None


def by_labels(
    rows: int,
    columns: int,
    row_group: Tensor | None,
    column_group: Tensor | None,
    excluded: Tensor | None,
    like: Tensor,
    group: Group,
) -> Share:
    """Every row has targets, unless `excluded` [G, G] takes it from all columns that any rank has.

    Args:
        rows, columns: n and m of this rank.
        row_group, column_group: [n], [m], given with `excluded`.
        like: gives the type and the device of the weights.
        group: the process group.
    """
    if excluded is None or row_group is None or column_group is None:
        counted = [torch.ones(count, dtype=torch.bool, device=like.device) for count in (rows, columns)]
    else:
        there = torch.zeros((2, len(excluded)), dtype=torch.int64, device=like.device)
        there[0].index_fill_(0, row_group, 1)
        there[1].index_fill_(0, column_group, 1)
        row_there, column_there = sum_over_ranks(there, group) > 0
        row_has_any = (~excluded & column_there).any(1)
        column_has_any = (~excluded & row_there[:, None]).any(0)
        counted = [row_has_any[row_group], column_has_any[column_group]]
    return Share(*(mask * each for mask, each in zip(counted, _each(counted, like, group), strict=True)))


def by_few_labels(
    a: Tensor,
    b: Tensor,
    row_sizes: list[int],
    column_sizes: list[int],
    cosine: bool,
    label_scale: float,
    like: Tensor,
    group: Group,
) -> tuple[Tensor, Share] | None:
    """Label rows of which few are different, on any rank; the label rows of all ranks are gathered.

    Args:
        a, b: label rows [n, L], [m, L].
        row_sizes, column_sizes: n and m of each rank.
        cosine, label_scale: of the targets.
        like: gives the type and the device of the weights.
        group: the process group.

    Returns:
        The kinds of this rank's columns, [m], and its share; None on every rank where this does not serve.
    """
    if like.device.type != "cpu":
        return None
    dtype, rank, ranks = torch.promote_types(like.dtype, torch.float32), own_rank(group), len(row_sizes)
    labels = gather_rows(a, row_sizes, group), gather_rows(b, column_sizes, group)
    few = few_labels(*labels, cosine, label_scale, dtype, SMALLEST_SHARE / ranks)  # a rank sweeps 1 / ranks of all
    if few is None:
        return None
    row_kind = split_rows(few.row_kind, row_sizes)[rank]
    column_kind = split_rows(few.column_kind, column_sizes)[rank]
    row_weight, column_weight = (
        torch.full((sizes[rank],), 0.5 / sum(sizes), dtype=dtype) for sizes in (row_sizes, column_sizes)
    )
    return column_kind, Share(row_weight, column_weight, _OfKinds(row_kind, few.pull), few.floor / ranks)


def by_place(rows: int, start: int, left_out: Tensor | None, like: Tensor, group: Group) -> tuple[Tensor, Share]:
    """Row i belongs to column i alone.

    Args:
        rows: n of this rank.
        start: the place of its first row among all ranks'.
        left_out: which of this rank's pairs of one place are excluded, [n], or None.
        like: gives the type and the device of the weights.
        group: the process group.

    Returns:
        The ids of its rows and columns, [n], and its share.
    """
    ids = torch.arange(start, start + rows, device=like.device)
    once = torch.ones_like(ids)
    return ids, _by_counts(ids, (once, once), (once, once), (left_out, left_out), like, group)


def by_ids(
    row_ids: Tensor,
    column_ids: Tensor,
    row_sizes: list[int],
    column_sizes: list[int],
    excluded: Tensor | None,
    like: Tensor,
    group: Group,
) -> Share:
    """A row belongs, in equal parts, to all columns of its id on any rank.

    The ids of all ranks are gathered, 8 bytes a row and a column, also where the columns go round a ring.

    Args:
        row_ids, column_ids: int64 [n], [m].
        row_sizes, column_sizes: n and m of each rank.
        excluded: a bool relation between ids [G, G], or None: where it excludes an id from itself, no pair is left.
        like: gives the type and the device of the weights.
        group: the process group.

    Raises:
        ValueError: on every rank (on the CPU, where reading costs nothing): no id is among both rows and columns.
    """
    all_rows, all_columns = gather_rows(row_ids, row_sizes, group), gather_rows(column_ids, column_sizes, group)
    if like.device.type == "cpu" and not bool(torch.isin(all_rows, all_columns).any()):
        raise ValueError("targets='ids': no id of row_group occurs in column_group, so that there is nothing to learn")
    of_rows = occurrences(row_ids, all_columns), occurrences(row_ids, all_rows)
    of_columns = occurrences(column_ids, all_rows), occurrences(column_ids, all_columns)
    left_out = (None, None) if excluded is None else (excluded[row_ids, row_ids], excluded[column_ids, column_ids])
    return _by_counts(row_ids, of_rows, of_columns, left_out, like, group)


def _by_counts(
    ids: Tensor,
    of_rows: tuple[Tensor, Tensor],
    of_columns: tuple[Tensor, Tensor],
    left_out: tuple[Tensor | None, Tensor | None],
    like: Tensor,
    group: Group,
) -> Share:
    """From how many columns, and rows, have the id of each row, and the other way round for each column."""
    counted = [
        (matches > 0) if out is None else (matches > 0) & ~out
        for (matches, _), out in zip((of_rows, of_columns), left_out, strict=True)
    ]
    each = _each(counted, like, group)
    columns, rows = of_rows
    pull = counted[0] * (each[0] / columns.clamp(min=1) + each[1] / rows)
    weights = [mask * one for mask, one in zip(counted, each, strict=True)]
    floor = sum(
        (weight * matches.clamp(min=1).to(weight.dtype).log()).sum()
        for weight, (matches, _) in zip(weights, (of_rows, of_columns), strict=True)
    )
    assert isinstance(floor, Tensor)
    return Share(weights[0], weights[1], _OfIds(ids, pull), floor)


def _each(counted: list[Tensor], like: Tensor, group: Group) -> Tensor:
    """The weight of one row and of one column, [2]: half a mean over those that count on all ranks."""
    totals = sum_over_ranks(torch.stack([mask.sum() for mask in counted]), group)
    return 1 / (2 * totals.clamp(min=1).to(torch.promote_types(like.dtype, torch.float32)))
