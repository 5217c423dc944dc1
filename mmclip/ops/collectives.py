"""What the loss exchanges between ranks: sizes and refusals, rows, statistics, sums, and blocks passed round a ring.

The same calls serve gloo and NCCL. The sum over ranks of an [M, D] gradient, of which each rank keeps its rows, is an
all-to-all and an addition in the order of the ranks: the traffic of a reduce-scatter, but blocks of unequal size, or
empty, are no special case of a backend, and the order of the terms, so every bit, does not depend on the algorithm
that one chooses. A block may be empty; a ring sends nothing for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

Group = dist.ProcessGroup


def own_rank(group: Group) -> int:
    """This process's place in the group, 0 to the number of ranks - 1."""
    return dist.get_rank(group)


def exchange_numbers(numbers: Sequence[int], refusal: str, group: Group) -> list[list[int]]:
    """The `numbers` of every rank, in the order of the ranks, unless a rank refuses: then every rank raises.

    Args:
        numbers: as many on every rank as on any other.
        refusal: why this rank cannot take part, in one line; empty when it can. Its numbers then do not matter.
        group: the process group. Where it has only NCCL, the numbers pass through the GPU, and the host waits for
            them; a group of "cpu:gloo,cuda:nccl" spares that.

    Raises:
        ValueError: on every rank, naming the ranks that refused and why.
    """
    device = _host_device(group)
    reason = refusal.encode()
    local = torch.tensor([len(reason), *numbers], dtype=torch.int64, device=device)
    ranks = _gather_equal(local, group).tolist()
    lengths = [rank[0] for rank in ranks]
    if any(lengths):
        letters = torch.tensor(list(reason), dtype=torch.uint8, device=device)
        texts = split_rows(gather_rows(letters, lengths, group), lengths)
        refusals = [f"rank {rank}: {bytes(text.tolist()).decode()}" for rank, text in enumerate(texts) if lengths[rank]]
        raise ValueError("; ".join(refusals))
    return [rank[1:] for rank in ranks]


def gather_rows(local: Tensor, sizes: Sequence[int], group: Group) -> Tensor:
    """The rows of all ranks, [sum(sizes), ...], in the order of the ranks; no gradient passes.

    Args:
        local: this rank's rows, [sizes[rank], ...]; the other dimensions are the same on every rank.
        sizes: how many rows each rank has; they may differ, and be 0.
        group: the process group.
    """
    local = local.detach().contiguous()
    longest = max(sizes)
    if min(sizes) == longest:
        return _gather_equal(local, group).flatten(0, 1)
    padded = local.new_zeros((longest, *local.shape[1:]))  # collectives need equal shapes
    padded[: len(local)] = local
    return torch.cat([rows[:size] for rows, size in zip(_gather_equal(padded, group), sizes, strict=True)])


def split_rows(rows: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """The rows [sum(sizes), ...] of all ranks as those of each."""
    ends = list(itertools.accumulate(sizes, initial=0))
    return [rows[start:end] for start, end in itertools.pairwise(ends)]


def sum_over_ranks(local: Tensor, group: Group) -> Tensor:
    """The sum of every rank's tensor, on every rank."""
    total = local.clone()
    dist.all_reduce(total, group=group)
    return total


def merge_over_ranks(statistics: Tensor, group: Group) -> Tensor:
    """:func:`mmclip.ops.fused.merge` of every rank's statistics [5 or 2, M] of the same columns, on every rank.

    The largest peaks first; then the sums of exponentials, rescaled to them, are added.
    """
    peaks = statistics[0::2][: len(statistics) // 2].clone()
    dist.all_reduce(peaks, op=dist.ReduceOp.MAX, group=group)
    of_logits = statistics[1:2] * (statistics[:1] - peaks[:1]).exp()
    of_targets = statistics[3:] * (statistics[2:3] - peaks[1:]).exp()
    sums = sum_over_ranks(torch.cat([of_logits, of_targets]), group)
    return torch.cat([peaks[:1], sums[:1], peaks[1:], sums[1:]])


def sum_own_rows(partial: Tensor, sizes: Sequence[int], group: Group) -> Tensor:
    """The rows of this rank, [sizes[rank], D], of the sum over ranks of `partial` [sum(sizes), D]: a reduce-scatter."""
    own, ranks = sizes[own_rank(group)], len(sizes)
    received = partial.new_empty((ranks * own, *partial.shape[1:]))
    dist.all_to_all_single(received, partial.contiguous(), [own] * ranks, list(sizes), group=group)
    total = received[:own].clone()
    for rank in range(1, ranks):
        total += received[rank * own : (rank + 1) * own]
    return total


@dataclass
class Transfer:
    """Tensors on their way round the ring: sent to the next rank while others arrive from the one before.

    Attributes:
        sent: kept until the transfer ends, because the sending reads it.
        arriving: the buffers that `wait` returns.
    """

    sent: list[Tensor]
    arriving: list[Tensor]
    works: list[dist.Work]

    def wait(self) -> list[Tensor]:
        """What arrived (for NCCL: in the order of the current stream; the host does not wait)."""
        for work in self.works:
            work.wait()
        return self.arriving


def pass_on(tensors: Sequence[Tensor], shapes: Sequence[Sequence[int]], group: Group, tag: int) -> Transfer:
    """Start sending tensors to the next rank, and receiving those of the rank before, of the given shapes.

    Args:
        tensors: what to send.
        shapes: the shapes of what arrives, in the same order; the types are those of `tensors`.
        group: the process group; every rank calls this in the same order.
        tag: tells apart two transfers under way at once.
    """
    rank, ranks = own_rank(group), dist.get_world_size(group)
    sent = [tensor.contiguous() for tensor in tensors]
    arriving = [tensor.new_empty(tuple(shape)) for tensor, shape in zip(tensors, shapes, strict=True)]
    if ranks == 1:
        return Transfer([], sent, [])
    following, previous = (rank + 1) % ranks, (rank - 1) % ranks
    operations = []
    for index, (out, into) in enumerate(zip(sent, arriving, strict=True)):
        if out.numel():
            operations.append(dist.P2POp(dist.isend, out, group=group, group_peer=following, tag=tag + index))
        if into.numel():
            operations.append(dist.P2POp(dist.irecv, into, group=group, group_peer=previous, tag=tag + index))
    return Transfer(sent, arriving, dist.batch_isend_irecv(operations) if operations else [])


def _gather_equal(local: Tensor, group: Group) -> Tensor:
    """The tensors of all ranks, of one shape, stacked."""
    gathered = local.new_empty((dist.get_world_size(group), *local.shape))
    dist.all_gather(list(gathered.unbind()), local, group=group)
    return gathered


def _host_device(group: Group) -> torch.device:
    """Where the group can exchange numbers that the host wants to read: the CPU if it can."""
    if "cpu:" in dist.get_backend_config(group):
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
