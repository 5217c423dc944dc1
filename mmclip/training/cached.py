"""Embeddings of a batch that is too large for the memory of one graph: cached, and made again part by part.

A contrastive loss needs the embeddings of the whole batch at once, but the graph behind them only in backward, and
there of one part at a time (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
Setup"). So all parts are embedded without a graph, the loss yields its gradient in the embeddings, and each part is
embedded once more, with the same dropout, to carry its share of that gradient into the weights. The gradient is that
of the whole batch; every row meets every other in the loss. It costs a second forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mmclip.training.stopping import Abandoned, leave_if_requested

Part = Callable[[], Tensor]
"""Embeds one part of a batch: [rows, D]."""


def embed_in_parts(parts: Sequence[Part], tower: nn.Module, stoppable: bool = False) -> Tensor:
    """The embeddings of all parts, one after the other, [sum of rows, D].

    Backward adds the gradients of the weights to ``.grad``, as :func:`torch.autograd.backward` does;
    :func:`torch.autograd.grad` does not see them. Each part draws its random numbers from a seed of its own, which
    comes from the current random state. Batch norm uses the statistics of a part, and its running statistics move
    once.

    Args:
        parts: the same work whenever they are called.
        tower: the module that they call, for its buffers.
        stoppable: give up the step between two parts when SIGTERM has come. The ranks must have equally many parts.
            Where no gradient is wanted there is no step to give up.
    """
    stoppable = stoppable and torch.is_grad_enabled()
    seeds = torch.randint(2**62, (len(parts),)).tolist()
    needs_gradient = torch.ones((), requires_grad=torch.is_grad_enabled())
    embeddings: Tensor = _Cached.apply(needs_gradient, parts, seeds, tower, stoppable)
    return embeddings


class _Cached(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, needs_gradient: Tensor, parts: Sequence[Part], seeds: list[int], tower: nn.Module, stoppable: bool
    ) -> Tensor:
        ctx.parts, ctx.seeds, ctx.tower, ctx.stoppable = parts, seeds, tower, stoppable
        before = _copies(tower)
        try:
            made = [_embed(part, seed, stoppable) for part, seed in zip(parts, seeds, strict=True)]
        finally:
            _put_back(tower, before)  # they move when the parts are embedded with a graph
        ctx.rows = [len(part) for part in made]
        return torch.cat(made)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, ...]:
        before = _copies(ctx.tower)
        try:
            for part, seed, own in zip(ctx.parts, ctx.seeds, torch.split(gradient, ctx.rows), strict=True):
                with torch.enable_grad():
                    made = _embed(part, seed, ctx.stoppable)
                if made.requires_grad:  # else the whole tower is frozen
                    torch.autograd.backward(made, own)
        except Abandoned:
            _put_back(ctx.tower, before)
            raise
        return (None,) * 5


def _embed(part: Part, seed: int, stoppable: bool) -> Tensor:
    if stoppable:
        leave_if_requested()
    torch.manual_seed(seed)
    return part()


def _copies(tower: nn.Module) -> list[Tensor]:
    return [buffer.detach().clone() for buffer in tower.buffers()]


def _put_back(tower: nn.Module, values: list[Tensor]) -> None:
    for buffer, value in zip(tower.buffers(), values, strict=True):
        buffer.copy_(value)
