"""The extension's operators as PyTorch sees them: shapes for tracing, the autograd formula, and one call.

The algebra is in `csrc/soft_contrastive.h`. The operators take label rows (already normalised where the similarity is
the cosine) or ids, and never hold an N x M matrix.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from mmclip.ops import build

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
"""The types of x and y that the operators take; bfloat16 is computed in single precision, a tile at a time."""

DEVICES = ("cpu",)
"""The kinds of device that have an implementation."""

_STATISTICS = 2  # rows of the statistics tensors: the log-sum-exp of the logits, and of the targets


def ready() -> bool:
    """Whether the operators can be called; the first call loads and registers them, or warns that it cannot."""
    if not build.load():
        return False
    _register()
    return True


def loss_and_floor(
    x: Tensor,
    y: Tensor,
    logit_scale: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    row_ids: Tensor | None,
    column_ids: Tensor | None,
    label_scale: float,
) -> tuple[Tensor, Tensor]:
    """The loss, differentiable once in x [N, D], y [M, D] and logit_scale [], and the entropy of its targets.

    The targets come from label rows a [N, L], b [M, L], or from int64 ids row_ids [N], column_ids [M].
    """
    loss, floor, *_ = torch.ops.mmclip.soft_contrastive_forward(
        x, y, logit_scale, a, b, row_ids, column_ids, label_scale
    )
    return loss, floor.detach()


@functools.cache
def _register() -> None:
    forward, backward = "mmclip::soft_contrastive_forward", "mmclip::soft_contrastive_backward"
    torch.library.register_fake(forward, _fake_forward)
    torch.library.register_fake(backward, _fake_backward)
    torch.library.register_autograd(forward, _backward, setup_context=_save)
    torch.library.register_autograd(backward, _refuse)


def _fake_forward(x: Tensor, y: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = torch.promote_types(x.dtype, torch.float32)
    shapes = ((), (), (_STATISTICS, x.shape[0]), (_STATISTICS, y.shape[0]))
    loss, floor, rows, columns = (x.new_empty(shape, dtype=dtype) for shape in shapes)
    return loss, floor, rows, columns


def _fake_backward(
    grad_loss: Tensor, x: Tensor, y: Tensor, logit_scale: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), y.new_empty(y.shape), logit_scale.new_empty(())


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.label_scale = inputs
    ctx.save_for_backward(*tensors, *output[2:])


def _backward(ctx: Any, grad_loss: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
    x, y, logit_scale, a, b, row_ids, column_ids, rows, columns = ctx.saved_tensors
    gradients = torch.ops.mmclip.soft_contrastive_backward(
        grad_loss, x, y, logit_scale, a, b, row_ids, column_ids, ctx.label_scale, rows, columns
    )
    return (*gradients, None, None, None, None, None)


def _refuse(ctx: Any, *grads: Tensor) -> None:
    raise RuntimeError("the fused loss has first derivatives only; use backend='eager' for second ones")
