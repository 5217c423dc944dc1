"""The extension's operators as PyTorch sees them: calls, shapes for tracing, and the autograd formula.

The algebra is in `csrc/soft_contrastive.h`. `soft_contrastive_statistics` and `soft_contrastive_gradient` have an
implementation for each device; `soft_contrastive_sweep`, made of the two, is what autograd knows, with what the targets
put on the pairs where that needs no sweep. None ever holds an N x M matrix. :func:`statistics` and :func:`gradient`
have plain forms in :mod:`mmclip.ops.blocks`; :func:`shifts`, :func:`value` and :func:`merge` work on the results of
either.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops import build
from mmclip.ops.pairs import Pairs
from mmclip.ops.pull import Pull
from mmclip.ops.targets import Share

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
"""The types of x and y that the operators take; sums are float64 for float64, else float32."""

NO_TARGET = 1e30
"""The shift of a row or column of weight 0 (kNoTarget of `csrc/soft_contrastive.h`)."""


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def ready() -> bool:
    """Whether the operators can be called; the first call loads and registers them, or warns that it cannot."""
    if not build.load():
        return False
    _register()
    return True


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def serves(device: str) -> bool:
    """Whether the extension, once built, has an implementation for this kind of device: the CPU always, CUDA where it
    was compiled for it."""
    if device == "cpu":
        return True
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return device == "cuda" and ready() and bool(has_kernel("mmclip::soft_contrastive_statistics", "CUDA"))


def statistics(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """:func:`mmclip.ops.blocks.statistics` without the matrices; a peak may be any bound that keeps the sums sound."""
    rows, columns = torch.ops.mmclip.soft_contrastive_statistics(*pairs)
    return rows, columns


def gradient(pairs: Pairs, row_shift: Tensor, column_shift: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`mmclip.ops.blocks.gradient` without the matrices."""
    grad_x, grad_y = torch.ops.mmclip.soft_contrastive_gradient(*pairs, row_shift, column_shift)
    return grad_x, grad_y


def shifts(statistics: Tensor, weight: Tensor) -> Tensor:
    """What the gradient needs of rows or of columns, [2, N] (without labels [1, N]).

    lse S - log(weight) and lse T - log(weight), from statistics [5 or 2, N] and weight [N]; 1e30 where the weight is 0.
    """
    peaks, sums = statistics[0::2][: len(statistics) // 2], statistics[1::2]
    return torch.where(weight > 0, peaks + sums.log() - weight.log(), NO_TARGET)


def value(statistics: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum [] over rows, or columns, of lse S, with labels less the mean of S under the targets."""
    each = statistics[0] + statistics[1].log()
    if len(statistics) > 2:
        each = each - statistics[4] / statistics[3]
    return torch.where(weight > 0, weight * each, 0).sum()


def merge(first: Tensor, second: Tensor) -> Tensor:
    """The statistics [5 or 2, N] of the same rows (or columns) over the pairs of both arguments."""
    kept = []
    for start, end in ((0, 2), (2, 5))[: 1 if len(first) == 2 else 2]:
        peak = torch.maximum(first[start], second[start])
        sums = [part[start + 1 : end] * (part[start] - peak).exp() for part in (first, second)]
        kept += [peak[None], sums[0] + sums[1]]
    return torch.cat(kept)


def sweep(pairs: Pairs, share: Share) -> Tensor:
    """The loss: :func:`value` of the rows plus that of the columns, less what the targets put on the logits.

    Differentiable once in x, y and logit_scale.

    Args:
        pairs: all rows and columns; with labels unless `share` has a pull.
        share: of the targets.
    """
    pull = (None, None) if share.pull is None else (share.pull.values, share.pull.row_ids)
    total: Tensor = torch.ops.mmclip.soft_contrastive_sweep(
        *pairs, share.row_weight, share.column_weight, *pull, share.column_ids
    )[0]
    return total


def floor(pairs: Pairs, share: Share) -> Tensor:
    """The mean entropy [] of targets from labels: what the loss would be if the logits were the targets."""
    assert pairs.a is not None and pairs.b is not None
    a, b = (rows.to(share.row_weight.dtype) for rows in (pairs.a, pairs.b))
    if pairs.cosine:
        a, b = normalize(a, dim=1), normalize(b, dim=1)
    scale = share.row_weight.new_full((), pairs.label_scale)
    rows, columns = statistics(pairs._replace(x=a, y=b, logit_scale=scale, a=a, b=b, cosine=False))
    return value(rows, share.row_weight) + value(columns, share.column_weight)


@functools.cache
def _register() -> None:
    names = ("statistics", "gradient", "sweep")
    statistics_name, gradient_name, sweep_name = (f"mmclip::soft_contrastive_{name}" for name in names)
    torch.library.register_fake(statistics_name, _fake_statistics)
    torch.library.register_fake(gradient_name, _fake_gradient)
    torch.library.register_fake(sweep_name, _fake_sweep)
    torch.library.impl(sweep_name, "default", _sweep)
    torch.library.register_autograd(sweep_name, _backward, setup_context=_save)
    torch.library.register_autograd(statistics_name, _refuse)
    torch.library.register_autograd(gradient_name, _refuse)


def _sweep(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    pairs, (row_weight, column_weight, *pull) = _split(arguments)
    rows, columns = statistics(pairs)
    total = value(rows, row_weight) + value(columns, column_weight)
    if pull[0] is not None:
        total -= pairs.logit_scale * Pull(*pull[:2]).sum_of_logits(pairs.x, pairs.y, pull[2])
    return total, shifts(rows, row_weight), shifts(columns, column_weight)


def _split(arguments: Sequence[Any]) -> tuple[Pairs, Sequence[Any]]:
    """The operators' first arguments, and the others."""
    count = len(Pairs._fields)
    return Pairs(*arguments[:count]), arguments[count:]


def _fake_statistics(x: Tensor, y: Tensor, logit_scale: Tensor, a: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor]:
    count = 2 if a is None else 5
    return _like(x, count, x.shape[0]), _like(x, count, y.shape[0])


def _fake_gradient(x: Tensor, y: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _like(x, *x.shape), _like(x, *y.shape)


def _fake_sweep(
    x: Tensor, y: Tensor, logit_scale: Tensor, a: Tensor | None, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    count = 1 if a is None else 2
    return _like(x), _like(x, count, x.shape[0]), _like(x, count, y.shape[0])


def _like(x: Tensor, *shape: int) -> Tensor:
    return x.new_empty(shape, dtype=torch.promote_types(x.dtype, torch.float32))


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pairs, (_, _, *pull) = _split(inputs)
    ctx.cosine, ctx.label_scale = pairs.cosine, pairs.label_scale
    tensors = [given if isinstance(given, Tensor) else None for given in pairs]
    ctx.save_for_backward(*tensors, *pull, *output[1:])


def _backward(ctx: Any, grad_value: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
    pairs, (*pull, row_shift, column_shift) = _split(ctx.saved_tensors)
    pairs = pairs._replace(cosine=ctx.cosine, label_scale=ctx.label_scale)
    grad_x, grad_y = gradient(pairs, row_shift, column_shift)
    if pull[0] is not None:
        Pull(*pull[:2]).subtract(grad_x, grad_y, pairs.x, pairs.y, pull[2])
    grad_scale = grad_value * torch.linalg.vecdot(pairs.x.to(grad_x.dtype), grad_x).sum()
    factor = grad_value * pairs.logit_scale
    grads = grad_x.mul_(factor).to(pairs.x.dtype), grad_y.mul_(factor).to(pairs.y.dtype)
    return (*grads, grad_scale.to(pairs.logit_scale.dtype), *[None] * 12)


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError("the fused loss has first derivatives only; use backend='eager' for second ones")
