"""What the loss knows about ranks: gathering the rows of all ranks, and whose gradient is whose.

Every rank computes the same global loss. Its gradient with respect to a rank's own rows is then complete on that rank
and nothing has to be reduced. The gradient of a parameter is the **sum** over the ranks, which is what a trainer gets
that multiplies the loss by the number of ranks before DistributedDataParallel takes the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def active_group() -> dist.ProcessGroup | None:
    """The default process group where training runs on several ranks, else None."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return dist.group.WORLD
    return None


def gather_numbers(numbers: Sequence[int], group: dist.ProcessGroup, device: torch.device) -> list[list[int]]:
    """The `numbers` of every rank, in the order of the ranks; their count must be the same everywhere."""
    local = torch.tensor(list(numbers), dtype=torch.int64, device=device)
    gathered = [torch.empty_like(local) for _ in range(dist.get_world_size(group))]
    dist.all_gather(gathered, local, group=group)
    return [row.tolist() for row in gathered]


def gather_rows(local: Tensor, sizes: Sequence[int], group: dist.ProcessGroup) -> Tensor:
    """The rows of all ranks, [sum(sizes), ...], in the order of the ranks.

    Args:
        local: this rank's rows, [sizes[rank], ...]; the other dimensions are the same on every rank.
        sizes: how many rows each rank has; they may differ, and be 0.
        group: the process group.

    The gradient of `local` is this rank's rows of the gradient of the result: right where every rank computes the
    same value from it.
    """
    rows: Tensor = _GatherRows.apply(local, list(sizes), group)
    return rows


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, sizes: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.start = sum(sizes[: dist.get_rank(group)])
        ctx.count = len(local)
        padded = local.new_zeros((max(sizes), *local.shape[1:]))  # collectives need equal shapes
        padded[: len(local)] = local.detach()
        gathered = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(gathered, padded, group=group)
        return torch.cat([rows[:size] for rows, size in zip(gathered, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0][ctx.start : ctx.start + ctx.count], None, None


def share_gradient(value: Tensor, group: dist.ProcessGroup) -> Tensor:
    """`value`, with one rank's equal share of its gradient: the sum over the ranks is the whole gradient.

    For what every rank holds alike and uses in the same global loss, such as the logit scale.
    """
    shared: Tensor = _ShareGradient.apply(value, dist.get_world_size(group))
    return shared


class _ShareGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, ranks: int) -> Tensor:
        ctx.ranks = ranks
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] / ctx.ranks, None
