"""Label rows of which few are different: the targets collapse to those of K x K' kinds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

LARGEST_SHARE = 1 / 256
"""Label rows are grouped where the distinct pairs are at most this share of all pairs (K = N / 16): beyond it the
products over K x K pairs cost more than the sweep saves by not building the targets (`benchmarks/loss.py`)."""

MOST_PAIRS = 1 << 20
"""And where they are at most this many, so that the matrices of kinds stay at 4 MB each, whatever N is."""


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
    a: Tensor, b: Tensor, cosine: bool, label_scale: float, dtype: torch.dtype, share: float = LARGEST_SHARE
) -> FewLabels | None:
    """From label rows a [N, L], b [M, L]; None where the pairs of kinds are more than a `share` of all pairs.

    Only on the CPU: elsewhere the host would wait for the number of distinct rows.
    """
    if a.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    of_a, of_b = distinct_rows(a), distinct_rows(b)
    if of_a is None or of_b is None or len(of_a[0]) * len(of_b[0]) > min(share * len(a) * len(b), MOST_PAIRS):
        return None
    (first, row_kind), (second, column_kind) = of_a, of_b
    labels = [kept.to(dtype) for kept in (first, second)]
    if cosine:
        labels = [normalize(kept, dim=1) for kept in labels]
    rows, columns = (torch.bincount(kind, minlength=1).to(dtype) for kind in (row_kind, column_kind))
    targets = label_scale * (labels[0] @ labels[1].T)
    of_rows, row_floor = _half(targets, rows, columns)
    of_columns, column_floor = _half(targets.T, columns, rows)
    return FewLabels(row_kind, column_kind, of_rows + of_columns.T, row_floor + column_floor)


def _half(targets: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Half of what one direction's targets put on one pair of two kinds, [K, K'], and half of their mean entropy [].

    Args:
        targets: T of the kinds, [K, K'].
        rows, columns: how many are of each kind, [K], [K'].
    """
    of_kinds = (targets + columns.log()).log_softmax(1)  # the logarithm of all columns of a kind together
    pull = of_kinds.exp().div_(2 * rows.sum())
    floor = -(rows[:, None] * pull * of_kinds.sub_(columns.log())).sum()
    return pull.div_(columns), floor


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
