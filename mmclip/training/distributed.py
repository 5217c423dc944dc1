"""One process or many: who we are under torchrun, and what the ranks exchange beside the loss.

Gradients are summed when the whole backward pass is done, in buckets of a fixed order: the same sums for a step of one
graph and for one of cached embeddings, and the same bits after a restart, which a DistributedDataParallel that orders
its buckets by its first step does not promise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn

from mmclip.ops.distributed import active_group

BUCKET_BYTES = 32 << 20
"""Gradients that are summed in one message."""


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
    """Join the processes that torchrun started (NCCL on GPUs, gloo on CPUs), or be alone.

    With GPUs, too, numbers that the host wants to read go by gloo, so that no GPU has to be waited for.

    A process group that exists already is used and left as it is.
    """
    cuda = torch.cuda.is_available()
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu")
    if cuda:
        torch.cuda.set_device(device)
    ours = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    if ours:
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        if dist.is_initialized():
            yield World(dist.get_rank(), dist.get_world_size(), device)
        else:
            yield World(0, 1, device)
    finally:
        if ours:
            dist.destroy_process_group()


def barrier() -> None:
    """Wait until every rank is here."""
    any_rank(False)


def any_rank(flag: bool) -> bool:
    """Whether the flag is set on any rank; every rank gets the same answer."""
    return largest(int(flag)) > 0


def largest(number: int) -> int:
    """The largest of the ranks' numbers, on every rank."""
    if active_group() is None:
        return number
    found = torch.tensor(number, device=_host_device())
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return int(found.item())


def sum_gradients(module: nn.Module) -> None:
    """Add up the gradients of all ranks. A parameter that has a gradient on some rank gets one on every rank."""
    if active_group() is None:
        return
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    used = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8)
    used = used.to(_host_device())
    dist.all_reduce(used, op=dist.ReduceOp.MAX)
    gradients = []
    for parameter, there in zip(parameters, used.tolist(), strict=True):
        if there and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        if parameter.grad is not None:
            gradients.append(parameter.grad)
    under_way = []
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        under_way.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in under_way:
        assert work is not None
        work.wait()
        _spread(flat, bucket)


def take_buffers_of_first(module: nn.Module) -> None:
    """Give every rank the buffers of rank 0 (running statistics), so that all evaluate, and save, the same model."""
    if active_group() is None:
        return
    for bucket in _buckets(list(module.buffers())):
        flat = torch.cat([buffer.reshape(-1) for buffer in bucket])
        dist.broadcast(flat, src=0)
        _spread(flat, bucket)


def take_weights_of_first(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if active_group() is None:
        return
    for bucket in _buckets([parameter.detach() for parameter in module.parameters()]):
        flat = torch.cat([parameter.reshape(-1) for parameter in bucket])
        dist.broadcast(flat, src=0)
        _spread(flat, bucket)
    take_buffers_of_first(module)


def synchronise_norms(module: nn.Module) -> nn.Module:
    """The module with batch norms whose statistics are of all ranks' images; on GPUs only.

    By timm, since torch's own conversion loses the activations that timm's batch norms hold.
    """
    convert: Any = convert_sync_batchnorm
    converted: nn.Module = convert(module)
    return converted


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


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type, in their order, in lists of at most :data:`BUCKET_BYTES` (or a single larger one)."""
    waiting: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        bucket = waiting.setdefault(tensor.dtype, [])
        if bucket and sum(one.nbytes for one in bucket) + tensor.nbytes > BUCKET_BYTES:
            yield bucket
            bucket = waiting[tensor.dtype] = []
        bucket.append(tensor)
    yield from (bucket for bucket in waiting.values() if bucket)


@torch.no_grad()
def _spread(flat: Tensor, bucket: list[Tensor]) -> None:
    """Copy a bucket's values back to the tensors that it was made of."""
    for tensor, values in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
        tensor.copy_(values.view(tensor.shape))


def _host_device() -> torch.device:
    """Where the ranks can exchange numbers that the host wants to read: the CPU unless the group has only NCCL."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
