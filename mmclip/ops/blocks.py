"""The device operators of the loss in plain PyTorch: one block's matrices are held, nothing else differs.

:func:`statistics` and :func:`gradient` take and return what `soft_contrastive_statistics` and
`soft_contrastive_gradient` (`csrc/ops.cpp`) do. They serve where nothing is compiled, and are what the compiled forms
are tested against.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

LEFT_OUT = -1e30
"""The peak of a row or column with nothing to sum (kLeftOut of `csrc/soft_contrastive.h`)."""


def statistics(
    x: Tensor,
    y: Tensor,
    logit_scale: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    cosine: bool = False,
    label_scale: float = 1.0,
    row_group: Tensor | None = None,
    column_group: Tensor | None = None,
    excluded: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What each row and each column must know of its logits and targets.

    Args:
        x, y: [N, D], [M, D] of one floating type; logit_scale: [].
        a, b: label rows [N, L], [M, L] of any type, or both None: then there are no targets.
        cosine: the targets are label_scale * cos(a, b), where a row of zeros has cosine 0; else label_scale * a b^T.
        row_group, column_group, excluded: [N], [M] and a bool relation [G, G], or all None: pairs left out.

    Returns:
        rows [5, N], columns [5, M] (without labels [2, N], [2, M]), float64 for float64, else float32: peak logit,
        sum of e^(S - peak), peak target, sum of e^(T - peak), sum of e^(T - peak) S. Nothing to sum: peak -1e30, 0.
    """
    logits, targets = _matrices(x, y, logit_scale, a, b, cosine, label_scale, _pairs(row_group, column_group, excluded))
    return _statistics(logits, targets, 1), _statistics(logits, targets, 0)


def gradient(
    x: Tensor,
    y: Tensor,
    logit_scale: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    cosine: bool,
    label_scale: float,
    row_group: Tensor | None,
    column_group: Tensor | None,
    excluded: Tensor | None,
    row_shift: Tensor,
    column_shift: Tensor,
) -> tuple[Tensor, Tensor]:
    """G y [N, D] and G^T x [M, D], not multiplied by logit_scale, of the accumulate type.

    Args:
        row_shift, column_shift: [2, N], [2, M] (without labels [1, N], [1, M]): :func:`mmclip.ops.fused.shifts`.
        Others: as for :func:`statistics`.
    """
    logits, targets = _matrices(x, y, logit_scale, a, b, cosine, label_scale, _pairs(row_group, column_group, excluded))
    g = (logits - row_shift[0][:, None]).exp() + (logits - column_shift[0]).exp()
    if targets is not None:
        g -= (targets - row_shift[1][:, None]).exp() + (targets - column_shift[1]).exp()
    return g @ y.to(g.dtype), g.T @ x.to(g.dtype)


def _matrices(
    x: Tensor,
    y: Tensor,
    logit_scale: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    cosine: bool,
    label_scale: float,
    pairs: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """S and T [N, M], minus infinity where a pair is left out."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    logits, targets = logit_scale.to(dtype) * (x.to(dtype) @ y.to(dtype).T), None
    if a is not None and b is not None:
        a, b = a.to(dtype), b.to(dtype)
        targets = label_scale * (normalize(a, dim=1) @ normalize(b, dim=1).T if cosine else a @ b.T)
    if pairs is not None:
        logits = logits.masked_fill(pairs, -math.inf)
        targets = None if targets is None else targets.masked_fill(pairs, -math.inf)
    return logits, targets


def _pairs(row_group: Tensor | None, column_group: Tensor | None, excluded: Tensor | None) -> Tensor | None:
    """Which pairs are left out, [N, M]."""
    if row_group is None or column_group is None or excluded is None:
        return None
    return excluded[row_group[:, None], column_group]


def _statistics(logits: Tensor, targets: Tensor | None, dim: int) -> Tensor:
    """The statistics over the columns (dim 1) or over the rows (dim 0)."""

    def peak(values: Tensor) -> Tensor:
        largest = values.amax(dim)
        return torch.where(largest == -math.inf, LEFT_OUT, largest)

    first = peak(logits)
    kept = [first, (logits - first.unsqueeze(dim)).exp().sum(dim)]
    if targets is not None:
        second = peak(targets)
        weights = (targets - second.unsqueeze(dim)).exp()
        products = weights * logits.masked_fill(targets == -math.inf, 0)
        kept += [second, weights.sum(dim), products.sum(dim)]
    return torch.stack(kept)
