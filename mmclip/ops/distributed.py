"""The loss over the rows of many ranks: each computes its own rows against all columns, once.

A rank owns rows of x and of y. Statistics of its rows are complete when it has seen every column; those of its
columns are merged with the other ranks', and so is their gradient summed: :mod:`mmclip.ops.exchange` has the two ways,
gathering and a ring. No rank holds an N x M matrix or another rank's logits.

Every rank returns the same global loss. It gets the whole gradient of its own x and y, and the part of the gradient of
the logit scale that its rows make: the gradient of a parameter is the **sum** over the ranks. (DistributedDataParallel
takes the mean: there the loss is multiplied by the number of ranks.) Backward exchanges too, so that every rank must
run it.

Messages of one call. Gathering and the ring differ; in a round of the ring every field is sent and received W - 1
times, and what was found out about the columns W times, where W is the number of ranks.

==================  ================================================  ===========================================
                    gathering                                         ring
==================  ================================================  ===========================================
sizes, agreement    1 all-gather                                      1 all-gather
who counts          ids, places: 1 all-reduce; labels with            the same
                    `excluded`: 2; labels: none
targets "ids"       2 all-gathers of ids                              the same
labels on the CPU   2 all-gathers of labels without `excluded`: are   none
                    few of them different?
forward             1 all-gather each of y, labels, ids, groups and   1 round of y, labels, ids, groups with the
                    shifts (those there are); 3 all-reduces           columns' statistics; 1 all-reduce
backward            1 all-to-all of the gradient of y                 1 round of the same and shifts with the
                                                                      gradient of y
floor               labels, not few: the forward again without        the same
                    shifts; else 1 all-reduce
==================  ================================================  ===========================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from mmclip.ops import fused, targets
from mmclip.ops.agreement import agree
from mmclip.ops.arguments import Arguments
from mmclip.ops.blocks import LEFT_OUT
from mmclip.ops.collectives import Group, sum_over_ranks
from mmclip.ops.exchange import Columns, Exchange, Gathered, Ring
from mmclip.ops.pairs import Pairs
from mmclip.ops.targets import Share

GATHERED_BYTES = 256 << 20
"""The largest y of all ranks, in bytes, that a rank gathers; beyond it the columns go round a ring.

A gathering rank holds that y and, in backward, two gradients of its shape in the accumulate type.
"""


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _outside_graphs(function: _Function) -> _Function:
    """Let torch.compile leave the function as it is: it waits for other processes."""
    return cast(_Function, torch.compiler.disable(function))  # type: ignore[no-untyped-call]


class Operators(Protocol):
    """:mod:`mmclip.ops.blocks` or :mod:`mmclip.ops.fused`."""

    statistics: Callable[..., tuple[Tensor, Tensor]]
    gradient: Callable[..., tuple[Tensor, Tensor]]


def active_group() -> Group | None:
    """The default process group where training runs on several ranks, else None."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return dist.group.WORLD
    return None


@_outside_graphs
def loss(given: Arguments, group: Group, operators: Operators, return_floor: bool) -> tuple[Tensor, Tensor | None]:
    """:func:`mmclip.ops.soft_contrastive_loss` of all ranks' rows and columns, and its floor where asked for.

    Args:
        given: this rank's rows [n, D] and columns [m, D], of which there may be none. The logit scale is the same on
            every rank, which is not checked; of `excluded`, only its size is.
        group: the process group.
        operators: what computes a block.
        return_floor: also the mean entropy of the targets.

    Raises:
        ValueError: on every rank, where ranks disagree about sizes, types or settings, where one has refused, or where
            all ranks together have no rows, no columns or no targets.
    """
    given = replace(given, a=_exchangeable(given.a), b=_exchangeable(given.b))
    x, y = given.x, given.y
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, y, given.logit_scale))
    ranks = agree(given, return_floor, wanted, group)
    exchange: Exchange = Gathered(ranks.columns, group)
    if sum(ranks.columns) * y.shape[1] * y.element_size() > GATHERED_BYTES:
        exchange = Ring(ranks.columns, group)
    with torch.autocast(x.device.type, enabled=False):
        share = targets.share(given, ranks, may_group=isinstance(exchange, Gathered))
        pairs = given.pairs(labels=share.pull is None)
        rows = _Rows(operators, pairs, share)
        own = Columns(y.detach(), pairs.b, share.column_ids, pairs.column_group)
        value: Tensor = _Loss.apply(x, y, given.logit_scale, rows, own, exchange)
        floor = None
        if return_floor:
            floor = sum_over_ranks(_floor(rows, own, exchange) if share.floor is None else share.floor, group)
        return value, floor


class _Rows:
    """What this rank knows of its rows but their embeddings, and of the weights in the loss."""

    def __init__(self, operators: Operators, pairs: Pairs, share: Share) -> None:
        self.operators = operators
        self.known = pairs._replace(x=pairs.x.detach(), y=pairs.y.detach(), logit_scale=pairs.logit_scale.detach())
        self.share = share

    def statistics(self, x: Tensor, scale: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """Of the rows x [n, D] and of the columns, over each other."""
        if len(x) == 0 or len(columns.y) == 0:
            return self.nothing(len(x)), self.nothing(len(columns.y))
        return self.operators.statistics(self._pairs(x, scale, columns))

    def gradient(self, x: Tensor, scale: Tensor, shift: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """Of the value by scale * x and by scale * y, [n, D] and [m, D] of the accumulate type."""
        if len(x) == 0 or len(columns.y) == 0:
            of_x, of_y = (self.share.row_weight.new_zeros(rows.shape) for rows in (x, columns.y))
        else:
            assert columns.shift is not None
            shifts = shift, columns.shift.T.contiguous()
            of_x, of_y = self.operators.gradient(self._pairs(x, scale, columns), *shifts)
        if self.share.pull is not None:
            self.share.pull.subtract(of_x, of_y, x, columns.y, columns.ids)
        return of_x, of_y

    def _pairs(self, x: Tensor, scale: Tensor, columns: Columns) -> Pairs:
        return self.known._replace(x=x, y=columns.y, logit_scale=scale, b=columns.labels, column_group=columns.group)

    def nothing(self, count: int) -> Tensor:
        """The statistics of `count` rows, or columns, over no pair."""
        nothing = self.share.row_weight.new_zeros((2 if self.known.a is None else 5, count))
        nothing[0::2][: len(nothing) // 2] = LEFT_OUT
        return nothing


def _sweep(x: Tensor, scale: Tensor, rows: _Rows, kept: Columns, exchange: Exchange) -> tuple[Tensor, Tensor, Tensor]:
    """This rank's part of the value, [], and the shifts of its rows and of its columns."""
    of_rows, aligned = rows.nothing(len(x)), scale.new_zeros(())

    def visit(columns: Columns) -> Tensor:
        nonlocal of_rows, aligned
        found, of_columns = rows.statistics(x, scale, columns)
        of_rows = fused.merge(of_rows, found)
        if rows.share.pull is not None:
            aligned = aligned + scale * rows.share.pull.sum_of_logits(x, columns.y, columns.ids)
        return of_columns

    of_columns = exchange.merged(kept, visit)
    weights = rows.share.row_weight, rows.share.column_weight
    value = fused.value(of_rows, weights[0]) + fused.value(of_columns, weights[1]) - aligned
    return value, fused.shifts(of_rows, weights[0]), fused.shifts(of_columns, weights[1])


def _floor(rows: _Rows, own: Columns, exchange: Exchange) -> Tensor:
    """This rank's part of the entropy of targets from labels: their cross-entropy with themselves."""
    known = rows.known
    assert known.a is not None and own.labels is not None
    a, b = (labels.to(rows.share.row_weight.dtype) for labels in (known.a, own.labels))
    if known.cosine:
        a, b = normalize(a, dim=1), normalize(b, dim=1)
    kept = exchange.collect(Columns(b, own.labels, group=own.group))
    return _sweep(a, a.new_full((), known.label_scale), rows, kept, exchange)[0]


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, logit_scale: Tensor, rows: _Rows, own: Columns, exchange: Exchange
    ) -> Tensor:
        kept = exchange.collect(own)
        value, row_shift, column_shift = _sweep(x, logit_scale, rows, kept, exchange)
        kept = exchange.with_shift(kept, column_shift)
        ctx.rows, ctx.exchange, ctx.names = rows, exchange, list(kept.present())
        ctx.save_for_backward(x, y, logit_scale, row_shift, *kept.present().values())
        return sum_over_ranks(value, exchange.group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, y, logit_scale, row_shift, *tensors = ctx.saved_tensors
        rows: _Rows = ctx.rows
        kept = Columns(**dict(zip(ctx.names, tensors, strict=True)))
        grad_x = torch.zeros(x.shape, dtype=row_shift.dtype, device=x.device)

        def visit(columns: Columns) -> Tensor:
            with torch.autocast(x.device.type, enabled=False):
                of_x, of_y = rows.gradient(x, logit_scale, row_shift, columns)
            grad_x.add_(of_x)
            return of_y

        grad_y = ctx.exchange.summed(kept, visit)
        grad_scale = grads[0] * (x * grad_x).sum()
        factor = grads[0] * logit_scale
        return (grad_x * factor).to(x.dtype), (grad_y * factor).to(y.dtype), grad_scale, None, None, None


def _exchangeable(labels: Tensor | None) -> Tensor | None:
    """Labels of a type that every backend can send."""
    return labels.to(torch.uint8) if labels is not None and labels.dtype == torch.bool else labels
