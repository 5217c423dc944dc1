"""The soft-target contrastive loss: what 3M-CLIP, MedCLIP and CLIP have in common.

One function, three sources of targets. The eager form is the definition; the fused form (`csrc/`) is the same value
and gradient without any N x M matrix in memory.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.errors import UserError
from mmclip.ops import agreement, blocks, distributed, fused
from mmclip.ops import targets as targets_of_loss
from mmclip.ops.arguments import Arguments, check
from mmclip.ops.ranks import Ranks

Similarity = Literal["cosine", "dot"]
Targets = Literal["labels", "identity", "ids"]
Backend = Literal["auto", "fused", "eager"]

SMALLEST_FUSED = 300 * 300
"""The number of pairs from which "auto" takes the fused form on the CPU. Below it the two take the same time: the N x M
matrices stay in the cache, and the fused form's 0.3 ms of calls weigh as much as what it saves."""


def soft_contrastive_loss(
    x: Tensor,
    y: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    logit_scale: Tensor | float,
    *,
    label_scale: float = 1.0,
    similarity: Similarity = "cosine",
    targets: Targets = "labels",
    row_group: Tensor | None = None,
    column_group: Tensor | None = None,
    excluded: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
    return_floor: bool = False,
    backend: Backend = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    r"""Cross-entropy, in both directions, between the similarity of embeddings and the similarity of labels.

    .. math::
        S_{ij} = s \, x_i \cdot y_j, \qquad T_{ij} = \tau \, \mathrm{sim}(a_i, b_j), \qquad
        P_{ij} = \frac{e^{T_{ij}}}{\sum_k e^{T_{ik}}}, \qquad Q_{ij} = \frac{e^{T_{ij}}}{\sum_k e^{T_{kj}}}

        L = \frac12 \Big[ -\frac1N \sum_{ij} P_{ij} \log \frac{e^{S_{ij}}}{\sum_k e^{S_{ik}}}
                          -\frac1M \sum_{ij} Q_{ij} \log \frac{e^{S_{ij}}}{\sum_k e^{S_{kj}}} \Big]

    3M-CLIP publishes the cosine as the similarity of labels, with :math:`\tau = 1`; the code that MedCLIP released
    takes the plain dot product. With 0/1 labels and :math:`\tau = 1` a target distribution over a large batch is
    nearly flat, so that the loss starts close to its floor, the mean entropy of P and Q; what can still be learned is
    the loss minus the floor, the mean Kullback-Leibler divergence.

    Args:
        x, y: embeddings, [N, D] and [M, D], of one floating type, used as given: the caller normalises them.
        a, b: label vectors, [N, L] and [M, L], of any type; constants (no gradient). A row of zeros has similarity 0
            with every other. None, and not looked at, unless `targets` is "labels".
        logit_scale: s, the multiplier itself (already exponentiated), finite and not negative; a number or a tensor
            of one element.
        label_scale: tau, finite and not negative; 1 as published.
        similarity: of label vectors: "cosine" or "dot".
        targets: "labels"; "identity": row i belongs to column i alone, as in CLIP (N = M); "ids": row i belongs,
            in equal parts, to every column with `row_group[i] == column_group[j]`. A row or column that belongs to
            none is left out of its mean; at least one must belong.
        row_group, column_group: integer ids, [N] and [M], for targets "ids" and for `excluded`.
        excluded: a bool relation between groups, [G, G]: the pair (i, j) is taken out of both distributions where
            `excluded[row_group[i], column_group[j]]`; the ids are then 0 to G - 1.
        group: a process group. Each rank gives its own rows, in any number; every rank gets the loss of all rows
            with all columns, the whole gradient of its own x and y, and its share of the gradient of `logit_scale`
            (the sum over the ranks is the whole). With targets "ids" and with `excluded` the ids and the relation
            mean the same on every rank.
        return_floor: return (loss, floor); the floor has no gradient.
        backend: "eager", "fused", or "auto": fused where it is built, has the type and pays.

    Returns:
        The loss, a scalar in nats: of x's type, but single precision for half-precision x.

    Raises:
        ValueError: shapes, types or values that do not fit, or `backend="fused"` for what the fused form lacks.
        UserError: `backend="fused"` where the extension is not built.
    """
    if backend not in ("auto", "fused", "eager"):
        raise ValueError(f"backend={backend!r}: must be 'auto', 'fused' or 'eager'")
    try:
        given = check(
            x, y, a, b, logit_scale, label_scale, similarity, targets, row_group, column_group, excluded,
            of_many_ranks=group is not None,
        )  # fmt: skip
        use_fused = _uses_fused(backend, x, len(x) * len(y))
    except (ValueError, UserError) as error:
        if group is not None:
            agreement.refuse(str(error), group)
        raise
    loss: Tensor
    floor: Tensor | None
    with torch.autocast(x.device.type, enabled=False):
        if group is not None:
            loss, floor = distributed.loss(given, group, fused if use_fused else blocks, return_floor)
        else:
            loss, floor = (_fused if use_fused else _eager)(given, return_floor)
    if not return_floor:
        return loss
    assert floor is not None
    return loss, floor


def _eager(given: Arguments, return_floor: bool) -> tuple[Tensor, Tensor | None]:
    """The definition. Pairs that are left out, or have no target, have T (and S) minus infinity."""
    dtype = given.logit_scale.dtype
    logits = given.logit_scale * (given.x.to(dtype) @ given.y.to(dtype).T)
    if given.a is not None and given.b is not None:
        a, b = given.a.to(dtype), given.b.to(dtype)
        targets = given.label_scale * (normalize(a, dim=1) @ normalize(b, dim=1).T if given.cosine else a @ b.T)
    else:
        rows, columns = given.row_group, given.column_group
        if given.targets == "identity" or rows is None or columns is None:
            rows = columns = torch.arange(len(logits), device=logits.device)
        targets = torch.zeros_like(logits).masked_fill(rows[:, None] != columns, -math.inf)
    if given.excluded is not None:
        pairs = given.excluded[given.row_group][:, given.column_group]
        logits, targets = logits.masked_fill(pairs, -math.inf), targets.masked_fill(pairs, -math.inf)
    some_left_out = given.a is None or given.excluded is not None
    floor = _both_directions(targets, targets, some_left_out) if return_floor else None
    return _both_directions(targets, logits, some_left_out), floor


def _both_directions(targets: Tensor, logits: Tensor, some_left_out: bool) -> Tensor:
    """L of the docstring above, from T and S [N, M]; with S = T it is the floor."""
    rows = _cross_entropy(targets, logits, some_left_out)
    return (rows + _cross_entropy(targets.T, logits.T, some_left_out)) / 2


def _cross_entropy(targets: Tensor, logits: Tensor, some_left_out: bool) -> Tensor:
    """Mean over rows of the cross-entropy of softmax(logits) under softmax(targets).

    Where some pairs are left out (T is minus infinity), they add nothing, and rows without any target are not counted.
    """
    if not some_left_out:
        return -(targets.softmax(1) * logits.log_softmax(1)).sum(1).mean()
    present = targets > -math.inf
    counted = present.any(1)
    present, targets, logits = present[counted], targets[counted], logits[counted]
    log_probabilities = logits.log_softmax(1).masked_fill(~present, 0)
    return -(targets.softmax(1) * log_probabilities).sum() / counted.sum().clamp(min=1)


def _fused(given: Arguments, return_floor: bool) -> tuple[Tensor, Tensor | None]:
    """The same by the extension: a sweep over the pairs, with T where the targets need it."""
    share = targets_of_loss.share(given, Ranks([len(given.x)], [len(given.y)]))
    pairs = given.pairs(labels=share.pull is None)
    floor = share.floor if share.pull is not None or not return_floor else fused.floor(pairs, share)
    return fused.sweep(pairs, share), floor


def _uses_fused(backend: str, x: Tensor, pairs: int) -> bool:
    lacks = [
        what
        for what, there in (
            (f"no implementation for {x.device.type}", fused.serves(x.device.type)),
            (f"no implementation for {x.dtype}", x.dtype in fused.DTYPES),
        )
        if not there
    ]
    small = x.device.type == "cpu" and pairs < SMALLEST_FUSED
    if backend == "eager" or (backend == "auto" and (lacks or small)):
        return False
    if lacks:
        raise ValueError(f"backend='fused': it has {' and '.join(lacks)}; use backend='auto' or 'eager'")
    ready: bool = fused.ready()
    if not ready and backend == "fused":
        raise UserError("backend='fused': the extension is not built; run `mmclip build`, or use backend='auto'")
    return ready
