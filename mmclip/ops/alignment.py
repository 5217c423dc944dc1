"""The part of the loss that is linear in the logits, where it needs no sweep over the pairs.

The loss is sum w_i lse_j S_ij + sum v_j lse_i S_ij - sum W_ij S_ij, where W is what the targets of both directions put
on a pair. Where the targets are constant over groups of rows and of columns, the last sum needs only the sums of x and
of y over each group: with ids W is w_i / (columns of the id) + v_j / (rows of the id) where the ids agree, and with
label rows of which only K are different it is a K x K matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops.matching import occurrences, sum_where_equal

SMALLEST_SHARE = 1 / 16
"""Label rows are grouped where the distinct pairs are at most this share of all pairs (K = N / 4): beyond it the
products over K x K pairs cost about what the sweep saves by not building the targets."""


@dataclass(frozen=True)
class Alignment:
    """What the targets contribute.

    Attributes:
        row_weight, column_weight: [N], [M], of the accumulate type: 1 / (2 * all that count), or 0 where one has no
            target and is left out of its mean.
        value: sum W_ij S_ij [], differentiable in x, y and the logit scale.
        floor: the mean entropy of the targets [].
    """

    row_weight: Tensor
    column_weight: Tensor
    value: Tensor
    floor: Tensor


def by_place(
    x: Tensor,
    y: Tensor,
    logit_scale: Tensor,
    row_group: Tensor | None,
    column_group: Tensor | None,
    excluded: Tensor | None,
) -> Alignment:
    """Row i belongs to column i alone, unless `excluded` [G, G] takes their groups from each other."""
    counted = torch.ones(len(x), dtype=torch.bool, device=x.device)
    if row_group is not None and column_group is not None and excluded is not None:
        counted = ~excluded[row_group, column_group]
    weight = half_mean(counted, logit_scale.dtype)
    value = logit_scale * (2 * weight * torch.linalg.vecdot(x.to(weight.dtype), y.to(weight.dtype))).sum()
    return Alignment(weight, weight, value, weight.new_zeros(()))


def by_ids(
    x: Tensor, y: Tensor, logit_scale: Tensor, row_ids: Tensor, column_ids: Tensor, excluded: Tensor | None
) -> Alignment:
    """Row i belongs, in equal parts, to the columns of its id; none where `excluded` [G, G] takes it from itself."""
    columns, rows = occurrences(row_ids, column_ids), occurrences(column_ids, row_ids)
    counted = [columns > 0, rows > 0]
    if excluded is not None:
        counted = [mask & ~excluded[ids, ids] for mask, ids in zip(counted, (row_ids, column_ids), strict=True)]
    row_weight, column_weight = (half_mean(mask, logit_scale.dtype) for mask in counted)
    # A row that counts has a column of its id, which counts as well: one weight serves all that count.
    pull = row_weight / columns.clamp(min=1) + (row_weight > 0) * column_weight.amax() / occurrences(row_ids, row_ids)
    of_rows = sum_where_equal(y.to(pull.dtype), column_ids, row_ids)
    value = logit_scale * (pull * torch.linalg.vecdot(x.to(pull.dtype), of_rows)).sum()
    floor = sum(
        (weight * matches.clamp(min=1).to(pull.dtype).log()).sum()
        for weight, matches in ((row_weight, columns), (column_weight, rows))
    )
    assert isinstance(floor, Tensor)
    return Alignment(row_weight, column_weight, value, floor)


@dataclass(frozen=True)
class FewLabels:
    """Targets from label rows of which few are different.

    Attributes:
        row_kind, column_kind: which of the distinct rows each is, [N] and [M].
        pull: what the targets of both directions put on one pair of two kinds, [kinds of rows, kinds of columns].
        floor: the mean entropy of the targets [].
    """

    row_kind: Tensor
    column_kind: Tensor
    pull: Tensor
    floor: Tensor


def few_labels(
    a: Tensor, b: Tensor, cosine: bool, label_scale: float, dtype: torch.dtype, share: float = SMALLEST_SHARE
) -> FewLabels | None:
    """From label rows a [N, L], b [M, L]; None where the pairs of kinds are more than a `share` of all pairs.

    Only on the CPU: elsewhere the host would wait for the number of distinct rows.
    """
    if a.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    of_a, of_b = distinct_rows(a), distinct_rows(b)
    if of_a is None or of_b is None or len(of_a[0]) * len(of_b[0]) > share * len(a) * len(b):
        return None
    (first, row_kind), (second, column_kind) = of_a, of_b
    labels = [kept.to(dtype) for kept in (first, second)]
    if cosine:
        labels = [normalize(kept, dim=1) for kept in labels]
    rows, columns = (torch.bincount(kind, minlength=1).to(dtype) for kind in (row_kind, column_kind))
    targets = label_scale * (labels[0] @ labels[1].T)
    of_rows = (targets + columns.log()).log_softmax(1)  # of all columns of a kind together
    of_columns = (targets + rows.log()[:, None]).log_softmax(0)
    weights = (rows / (2 * len(a)))[:, None] * of_rows.exp(), (columns / (2 * len(b))) * of_columns.exp()
    floor = -(weights[0] * (of_rows - columns.log())).sum() - (weights[1] * (of_columns - rows.log()[:, None])).sum()
    return FewLabels(row_kind, column_kind, (weights[0] + weights[1]) / (rows[:, None] * columns), floor)


def by_few_labels(
    x: Tensor, y: Tensor, logit_scale: Tensor, a: Tensor, b: Tensor, cosine: bool, label_scale: float
) -> Alignment | None:
    """Targets from label rows a [N, L], b [M, L], or None where too many of them are different."""
    dtype = logit_scale.dtype
    few = few_labels(a, b, cosine, label_scale, dtype)
    if few is None:
        return None
    of_rows = few.pull @ sums_of_kinds(y.to(dtype), few.column_kind, few.pull.shape[1])
    value = logit_scale * (sums_of_kinds(x.to(dtype), few.row_kind, len(few.pull)) * of_rows).sum()
    row_weight, column_weight = (rows.new_full((len(rows),), 0.5 / len(rows), dtype=dtype) for rows in (x, y))
    return Alignment(row_weight, column_weight, value, few.floor)


def sums_of_kinds(values: Tensor, kind: Tensor, count: int) -> Tensor:
    """The sum over the rows of each kind, [count, D], of values [N, D] with kinds [N]."""
    return values.new_zeros((count, values.shape[1])).index_add(0, kind, values)


def distinct_rows(rows: Tensor) -> tuple[Tensor, Tensor] | None:
    """The distinct rows [K, L] of [N, L], and which of them each row is [N]; None where that cannot be told.

    Rows are compared by a sum of their bits with random odd multipliers, modulo 2^64, and then with what they are said
    to equal, which unequal rows of one sum, and rows with NaN, fail.
    """
    words = rows.contiguous()
    if words.dtype.is_floating_point:
        words = words.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[words.element_size()])
    generator = torch.Generator().manual_seed(0)
    odd = torch.randint(-(2**62), 2**62, (rows.shape[1],), generator=generator) * 2 + 1
    sums = (words.to(torch.int64) * odd).sum(1)
    _, group = torch.unique(sums, return_inverse=True)
    count = int(group.max()) + 1
    kept = rows[torch.empty(count, dtype=torch.int64).scatter_(0, group, torch.arange(len(rows)))]
    return (kept, group) if bool((kept[group] == rows).all()) else None


def half_mean(counted: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight of each row in half a mean over those that count, [N]; 0 for the others."""
    return counted / (2 * counted.sum().clamp(min=1).to(dtype))


def weights_of_labels(
    rows: int,
    columns: int,
    row_group: Tensor | None,
    column_group: Tensor | None,
    excluded: Tensor | None,
    like: Tensor,
) -> tuple[Tensor, Tensor]:
    """The weights of N rows and of M columns with targets from labels: all count that are not excluded from all.

    `like` gives the type and the device.
    """
    if row_group is None or column_group is None or excluded is None:
        return like.new_full((rows,), 0.5 / rows), like.new_full((columns,), 0.5 / columns)
    there = [
        torch.zeros(len(excluded), dtype=torch.bool, device=like.device).index_fill_(0, group, True)
        for group in (row_group, column_group)
    ]
    counted = (~excluded & there[1]).any(1)[row_group], (~excluded & there[0][:, None]).any(0)[column_group]
    return half_mean(counted[0], like.dtype), half_mean(counted[1], like.dtype)
