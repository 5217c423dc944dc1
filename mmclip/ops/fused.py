"""The extension's operators as PyTorch sees them: calls, shapes for tracing, and the autograd formula.

The algebra is in `csrc/soft_contrastive.h`. `soft_contrastive_statistics` and `soft_contrastive_gradient` have an
implementation for each device; `soft_contrastive_sweep`, made of the two, is what autograd knows. None ever holds an
N x M matrix. :func:`statistics` and :func:`gradient` have plain forms of the same arguments in
:mod:`mmclip.ops.blocks`; :func:`shifts`, :func:`value` and :func:`merge` work on the results of either.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops import build

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
    """:func:`mmclip.ops.blocks.statistics` without the matrices; a peak may be any bound that keeps the sums sound."""
    rows, columns = torch.ops.mmclip.soft_contrastive_statistics(
        x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded
    )
    return rows, columns


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
    """:func:`mmclip.ops.blocks.gradient` without the matrices."""
    grad_x, grad_y = torch.ops.mmclip.soft_contrastive_gradient(
        x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded, row_shift, column_shift
    )
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


def sweep(
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
    row_weight: Tensor,
    column_weight: Tensor,
) -> Tensor:
    """:func:`value` of the rows plus that of the columns, differentiable once in x, y and logit_scale."""
    total: Tensor = torch.ops.mmclip.soft_contrastive_sweep(
        x, y, logit_scale, a, b, cosine, label_scale, row_group, column_group, excluded, row_weight, column_weight
    )[0]
    return total


def floor(
    a: Tensor | None,
    b: Tensor | None,
    cosine: bool,
    label_scale: float,
    row_group: Tensor | None,
    column_group: Tensor | None,
    excluded: Tensor | None,
    row_weight: Tensor,
    column_weight: Tensor,
) -> Tensor:
    """The mean entropy [] of the targets: what the loss would be if the logits were the targets."""
    assert a is not None and b is not None
    a, b = a.to(row_weight.dtype), b.to(row_weight.dtype)
    if cosine:
        a, b = normalize(a, dim=1), normalize(b, dim=1)
    scale = row_weight.new_full((), label_scale)
    rows, columns = statistics(a, b, scale, a, b, False, label_scale, row_group, column_group, excluded)
    return value(rows, row_weight) + value(columns, column_weight)


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
    *inputs, row_weight, column_weight = arguments
    rows, columns = statistics(*inputs)
    total = value(rows, row_weight) + value(columns, column_weight)
    return total, shifts(rows, row_weight), shifts(columns, column_weight)


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
    x, y, logit_scale, a, b, ctx.cosine, ctx.label_scale, *groups, _, _ = inputs
    ctx.save_for_backward(x, y, logit_scale, a, b, *groups, *output[1:])


def _backward(ctx: Any, grad_value: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
    x, y, logit_scale, a, b, *rest = ctx.saved_tensors
    grad_x, grad_y = gradient(x, y, logit_scale, a, b, ctx.cosine, ctx.label_scale, *rest)
    grad_scale = grad_value * torch.linalg.vecdot(x.to(grad_x.dtype), grad_x).sum()
    factor = grad_value * logit_scale
    grads = grad_x.mul_(factor).to(x.dtype), grad_y.mul_(factor).to(y.dtype), grad_scale.to(logit_scale.dtype)
    return (*grads, *[None] * 9)


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError("the fused loss has first derivatives only; use backend='eager' for second ones")
