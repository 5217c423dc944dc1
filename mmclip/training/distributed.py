"""One process or many: who we are under torchrun, and sums over all ranks."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from mmclip.ops.distributed import active_group


@dataclass(frozen=True)
class World:
    """This process among all that train together.

    Attributes:
        rank: 0 to size - 1; rank 0 writes the files.
        size: number of processes.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device


@contextmanager
def join_world() -> Iterator[World]:
    """Join the processes that torchrun started (NCCL with GPUs, gloo without), or be alone.

    A process group that exists already is used and left as it is.
    """
    cuda = torch.cuda.is_available()
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu")
    if cuda:
        torch.cuda.set_device(device)
    ours = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if cuda else "gloo")
    try:
        if dist.is_initialized():
            yield World(dist.get_rank(), dist.get_world_size(), device)
        else:
            yield World(0, 1, device)
    finally:
        if ours:
            gc.collect()  # a DistributedDataParallel left in a cycle holds the group, and its threads end the process
            dist.destroy_process_group()


def barrier() -> None:
    """Wait until every rank is here."""
    if active_group() is not None:
        dist.barrier()


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set on any rank; every rank gets the same answer."""
    if active_group() is None:
        return flag
    total = torch.tensor(float(flag), device=device)
    dist.all_reduce(total)
    return bool(total.item() > 0)


def global_mean(values: Tensor, count: Tensor | int) -> Tensor:
    """The mean over all ranks of what each has summed: the value everywhere, the gradient for this rank's part.

    The gradients of all ranks add up to the gradient of the global mean, as with
    :func:`mmclip.ops.soft_contrastive_loss`.

    Args:
        values: scalar sum over this rank's items.
        count: number of this rank's items; the mean of nothing is 0.
    """
    number = torch.as_tensor(count, dtype=values.dtype, device=values.device)
    if active_group() is None:
        return values / number.clamp(min=1)
    totals = torch.stack([values.detach(), number])
    dist.all_reduce(totals)
    total = totals[1].clamp(min=1)
    own = values / total
    return own + (totals[0] / total - own).detach()
