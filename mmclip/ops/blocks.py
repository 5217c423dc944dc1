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

from mmclip.ops.pairs import Pairs

LEFT_OUT = -1e30
"""The peak of a row or column with nothing to sum (kLeftOut of `csrc/soft_contrastive.h`)."""


def statistics(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """What each row and each column must know of its logits and targets.

    Returns:
        rows [5, N], columns [5, M] (without labels [2, N], [2, M]), float64 for float64, else float32: peak logit,
        sum of e^(S - peak), peak target, sum of e^(T - peak), sum of e^(T - peak) S. Nothing to sum: peak -1e30, 0.
    """
    logits, targets = _matrices(pairs)
    return _statistics(logits, targets, 1), _statistics(logits, targets, 0)


def gradient(pairs: Pairs, row_shift: Tensor, column_shift: Tensor) -> tuple[Tensor, Tensor]:
    """G y [N, D] and G^T x [M, D], not multiplied by logit_scale, of the accumulate type.

    Args:
        pairs: the rows and columns.
        row_shift, column_shift: [2, N], [2, M] (without labels [1, N], [1, M]): :func:`mmclip.ops.fused.shifts`.
    """
    logits, targets = _matrices(pairs)
    g = (logits - row_shift[0][:, None]).exp() + (logits - column_shift[0]).exp()
    if targets is not None:
        g -= (targets - row_shift[1][:, None]).exp() + (targets - column_shift[1]).exp()
    return g @ pairs.y.to(g.dtype), g.T @ pairs.x.to(g.dtype)


def _matrices(pairs: Pairs) -> tuple[Tensor, Tensor | None]:
    """S and T [N, M], minus infinity where a pair is left out."""
    dtype = torch.promote_types(pairs.x.dtype, torch.float32)
    logits, targets = pairs.logit_scale.to(dtype) * (pairs.x.to(dtype) @ pairs.y.to(dtype).T), None
    if pairs.a is not None and pairs.b is not None:
        a, b = pairs.a.to(dtype), pairs.b.to(dtype)
        targets = pairs.label_scale * (normalize(a, dim=1) @ normalize(b, dim=1).T if pairs.cosine else a @ b.T)
    if pairs.row_group is not None and pairs.column_group is not None and pairs.excluded is not None:
        left_out = pairs.excluded[pairs.row_group[:, None], pairs.column_group]
        logits = logits.masked_fill(left_out, -math.inf)
        targets = None if targets is None else targets.masked_fill(left_out, -math.inf)
    return logits, targets


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
