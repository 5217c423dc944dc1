"""What the targets say about the rows and columns of this process: which count, how much, and what belongs to what.

With several ranks, counts and label rows of all of them are exchanged; one process has everything. Targets from labels
of which many are different are left to the sweep over the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmclip.ops.arguments import Arguments
from mmclip.ops.grouping import LARGEST_SHARE, few_labels
from mmclip.ops.matching import occurrences
from mmclip.ops.pull import Pull
from mmclip.ops.ranks import Ranks


@dataclass(frozen=True)
class Share:
    """This process's part of the targets.

    Attributes:
        row_weight, column_weight: [n], [m], of the accumulate type: 1 / (2 * all that count), or 0 where one has no
            target anywhere and is left out of its mean.
        pull: what the targets put on the pairs, where that needs no labels any more; else None.
        column_ids: of this process's columns, for `pull`, [m]; None where it needs none.
        floor: this process's part of the entropy [] of such targets; else None.
    """

    row_weight: Tensor
    column_weight: Tensor
    pull: Pull | None = None
    column_ids: Tensor | None = None
    floor: Tensor | None = None


def share(given: Arguments, ranks: Ranks, may_group: bool = True) -> Share:
    """This process's part of the targets that were asked for.

    Args:
        given: the checked arguments, of this process's n rows and m columns.
        ranks: which rows and columns the others have.
        may_group: whether label rows may be compared, which with several ranks needs those of all in one place.

    Raises:
        ValueError: on every rank: with targets "ids", no id is among both rows and columns.
    """
    if given.targets == "identity":
        return _by_place(given, ranks)
    if given.targets == "ids":
        return _by_ids(given, ranks)
    few = _by_few_labels(given, ranks) if may_group and given.excluded is None else None
    return few or _by_labels(given, ranks)


def _by_place(given: Arguments, ranks: Ranks) -> Share:
    """Row i belongs to column i alone, unless `excluded` takes their groups from each other."""
    counted = torch.ones(len(given.x), dtype=torch.bool, device=given.x.device)
    if given.excluded is not None:
        counted = ~given.excluded[given.row_group, given.column_group]
    each = _each(counted, counted, given, ranks)
    weight = counted * each[0]
    ids = None
    if ranks.group is not None:  # columns of other ranks lie at other places
        ids = torch.arange(ranks.first_row, ranks.first_row + len(given.x), device=given.x.device)
    return Share(weight, weight, Pull(2 * weight, ids), ids, weight.new_zeros(()))


def _by_ids(given: Arguments, ranks: Ranks) -> Share:
    """A row belongs, in equal parts, to all columns of its id; to none where `excluded` takes the id from itself.

    The ids of all ranks are gathered, 8 bytes a row and a column, also where the columns go round a ring.
    """
    row_ids, column_ids = given.row_group, given.column_group
    assert row_ids is not None and column_ids is not None
    all_rows, all_columns = ranks.gather_rows(row_ids), ranks.gather_columns(column_ids)
    if ranks.group is not None and row_ids.device.type == "cpu" and not bool(torch.isin(all_rows, all_columns).any()):
        raise ValueError("targets='ids': no id of row_group occurs in column_group, so that there is nothing to learn")
    matches = occurrences(row_ids, all_columns), occurrences(column_ids, all_rows)
    counted = [count > 0 for count in matches]
    if given.excluded is not None:
        of_itself = given.excluded.diagonal()
        counted = [mask & ~of_itself[ids] for mask, ids in zip(counted, (row_ids, column_ids), strict=True)]
    each = _each(counted[0], counted[1], given, ranks)
    weights = [mask * one for mask, one in zip(counted, each, strict=True)]
    # A row that counts has a column of its id, which counts as well.
    pull = counted[0] * (each[0] / matches[0].clamp(min=1) + each[1] / occurrences(row_ids, all_rows))
    entropies = [
        (weight * count.clamp(min=1).to(weight.dtype).log()).sum()
        for weight, count in zip(weights, matches, strict=True)
    ]
    return Share(weights[0], weights[1], Pull(pull, row_ids), column_ids, entropies[0] + entropies[1])


def _by_few_labels(given: Arguments, ranks: Ranks) -> Share | None:
    """Label rows of which few are different, on any rank; None on every rank where this does not serve."""
    assert given.a is not None and given.b is not None
    if given.x.device.type != "cpu":
        return None
    largest = LARGEST_SHARE / ranks.count  # a rank sweeps 1 / ranks of all pairs
    labels = ranks.gather_rows(given.a), ranks.gather_columns(given.b)
    few = few_labels(*labels, given.cosine, given.label_scale, given.dtype, largest)
    if few is None:
        return None
    pull = Pull(few.pull, ranks.own_rows(few.row_kind))
    weights = _all_count(given, ranks)
    return Share(weights[0], weights[1], pull, ranks.own_columns(few.column_kind), few.floor / ranks.count)


def _by_labels(given: Arguments, ranks: Ranks) -> Share:
    """Every row has targets, unless `excluded` [G, G] takes it from all columns that there are."""
    rows, columns = given.row_group, given.column_group
    if given.excluded is None or rows is None or columns is None:
        return Share(*_all_count(given, ranks))
    there = torch.zeros((2, len(given.excluded)), dtype=torch.int64, device=given.x.device)
    there[0].index_fill_(0, rows, 1)
    there[1].index_fill_(0, columns, 1)
    row_there, column_there = ranks.sum(there) > 0
    row_has_any = (~given.excluded & column_there).any(1)[rows]
    column_has_any = (~given.excluded & row_there[:, None]).any(0)[columns]
    each = _each(row_has_any, column_has_any, given, ranks)
    return Share(row_has_any * each[0], column_has_any * each[1])


def _all_count(given: Arguments, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """The weights where every row and every column counts: nothing to exchange."""
    row_weight, column_weight = (
        torch.full((len(own),), 0.5 / total, dtype=given.dtype, device=own.device)
        for own, total in ((given.x, sum(ranks.rows)), (given.y, sum(ranks.columns)))
    )
    return row_weight, column_weight


def _each(rows: Tensor, columns: Tensor, given: Arguments, ranks: Ranks) -> Tensor:
    """The weight of one row and of one column, [2]: half a mean over those that count anywhere.

    Args:
        rows, columns: which count, [n], [m].
    """
    totals = ranks.sum(torch.stack([rows.sum(), columns.sum()]))
    return 1 / (2 * totals.clamp(min=1).to(given.dtype))
