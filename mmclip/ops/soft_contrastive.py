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

from mmclip.errors import UserError
from mmclip.ops import distributed, fused

Similarity = Literal["cosine", "dot"]
Targets = Literal["labels", "identity", "ids"]
Backend = Literal["auto", "fused", "eager"]


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
            `excluded[row_group[i], column_group[j]]`; the ids are then 0 to G - 1. Computed by the eager form.
        group: a process group. Each rank gives its own rows, in any number; every rank gets the loss of all rows
            with all columns, the whole gradient of its own x and y, and its share of the gradient of `logit_scale`
            (the sum over the ranks is the whole). With targets "ids" and with `excluded` the ids and the relation
            mean the same on every rank.
        return_floor: return (loss, floor); the floor has no gradient.
        backend: "eager", "fused", or "auto": fused where it is built and covers the request.

    Returns:
        The loss, a scalar in nats: of x's type, but single precision for half-precision x.

    Raises:
        ValueError: shapes, types or values that do not fit, or `backend="fused"` for what the fused form lacks.
        UserError: `backend="fused"` where the extension is not built.
    """
    dtype = _check_embeddings(x, y, empty_allowed=group is not None)
    scale = _checked_scale(logit_scale, label_scale, dtype, x.device)
    if targets == "labels":
        a, b = _label_rows(a, b, x, y, similarity, dtype)
    elif targets not in ("identity", "ids"):
        raise ValueError(f"targets={targets!r}: must be 'labels', 'identity' or 'ids'")
    else:
        a = b = None
    if targets == "ids" or excluded is not None:
        why = "targets='ids'" if targets == "ids" else "excluded"
        row_group, column_group = _ids("row_group", row_group, x, why), _ids("column_group", column_group, y, why)
    if targets == "identity" and len(x) != len(y):
        raise ValueError(f"targets='identity' pairs row i with column i, but x has {len(x)} rows and y has {len(y)}")
    if group is not None:
        x, y, a, b, row_group, column_group = _gather(x, y, a, b, row_group, column_group, group)
        scale = distributed.share_gradient(scale, group)
    row_ids, column_ids = _target_ids(targets, x, row_group, column_group)
    pairs = None if excluded is None else _excluded_pairs(excluded, row_group, column_group)
    with torch.autocast(x.device.type, enabled=False):
        if _uses_fused(backend, x, pairs):
            loss, floor = fused.loss_and_floor(x, y, scale, a, b, row_ids, column_ids, label_scale)
            return (loss, floor) if return_floor else loss
        logits = scale * (x.to(dtype) @ y.to(dtype).T)
        similarities = _target_logits(a, b, row_ids, column_ids, label_scale, dtype)
        if pairs is not None:
            logits, similarities = logits.masked_fill(pairs, -math.inf), similarities.masked_fill(pairs, -math.inf)
        some_left_out = a is None or pairs is not None
        loss = _both_directions(similarities, logits, some_left_out)
        return (loss, _both_directions(similarities, similarities, some_left_out)) if return_floor else loss


def _target_logits(
    a: Tensor | None,
    b: Tensor | None,
    row_ids: Tensor | None,
    column_ids: Tensor | None,
    label_scale: float,
    dtype: torch.dtype,
) -> Tensor:
    """T [N, M]: the scaled similarity of label rows; for ids 0 where they are equal and minus infinity elsewhere."""
    if a is not None and b is not None:
        return label_scale * (a @ b.T)
    assert row_ids is not None and column_ids is not None
    equal = row_ids[:, None] == column_ids[None, :]
    return torch.zeros(equal.shape, dtype=dtype, device=equal.device).masked_fill(~equal, -math.inf)


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


def _uses_fused(backend: str, x: Tensor, excluded: Tensor | None) -> bool:
    if backend not in ("auto", "fused", "eager"):
        raise ValueError(f"backend={backend!r}: must be 'auto', 'fused' or 'eager'")
    lacks = [
        what
        for what, there in (
            (f"no implementation for {x.device.type}", x.device.type in fused.DEVICES),
            (f"no implementation for {x.dtype}", x.dtype in fused.DTYPES),
            ("no excluded pairs", excluded is None),
        )
        if not there
    ]
    if backend == "eager" or (backend == "auto" and lacks):
        return False
    if lacks:
        raise ValueError(f"backend='fused': it has {' and '.join(lacks)}; use backend='auto' or 'eager'")
    ready = fused.ready()
    if not ready and backend == "fused":
        raise UserError("backend='fused': the extension is not built; run `mmclip build`, or use backend='auto'")
    return ready


def _check_embeddings(x: Tensor, y: Tensor, empty_allowed: bool) -> torch.dtype:
    """Check x and y; returns the type to compute in."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or x.shape[1] == 0:
        raise ValueError(f"x {list(x.shape)} and y {list(y.shape)} must be [N, D] and [M, D]")
    if x.dtype != y.dtype or not x.is_floating_point():
        raise ValueError(f"x ({x.dtype}) and y ({y.dtype}) must be of one floating type")
    if x.device != y.device:
        raise ValueError(f"x is on {x.device} and y on {y.device}")
    if not empty_allowed and (len(x) == 0 or len(y) == 0):
        raise ValueError(f"empty batch: x {list(x.shape)}, y {list(y.shape)}")
    return torch.promote_types(x.dtype, torch.float32)


def _checked_scale(logit_scale: Tensor | float, label_scale: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The logit scale as a scalar tensor of the type and on the device of the computation."""
    if not (math.isfinite(label_scale) and label_scale >= 0):
        raise ValueError(f"label_scale={label_scale}: must be finite and not negative")
    scale = torch.as_tensor(logit_scale)
    if scale.numel() != 1:
        raise ValueError(f"logit_scale has shape {list(scale.shape)}: must be one number")
    if not torch.compiler.is_compiling():  # reading the value would break the graph
        value = float(scale.detach())
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"logit_scale={value}: must be finite and not negative")
    return scale.reshape(()).to(device, dtype)


def _label_rows(
    a: Tensor | None, b: Tensor | None, x: Tensor, y: Tensor, similarity: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The label rows whose dot product is the similarity: constants, normalised for the cosine."""
    if a is None or b is None:
        raise ValueError("targets='labels' needs the label vectors a and b")
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"similarity={similarity!r}: must be 'cosine' or 'dot'")
    shapes = f"a {list(a.shape)} and b {list(b.shape)} with x {list(x.shape)} and y {list(y.shape)}"
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or a.shape[1] == 0:
        raise ValueError(f"{shapes}: a and b must be [N, L] and [M, L]")
    if len(a) != len(x) or len(b) != len(y):
        raise ValueError(f"{shapes}: a needs one row for each of x, b one for each of y")
    a, b = a.detach().to(x.device, dtype), b.detach().to(y.device, dtype)
    if similarity == "dot":
        return a, b
    return torch.nn.functional.normalize(a, dim=1), torch.nn.functional.normalize(b, dim=1)


def _ids(name: str, ids: Tensor | None, rows: Tensor, why: str) -> Tensor:
    """Checked ids, one for each row, on the rows' device."""
    if ids is None:
        raise ValueError(f"{why} needs row_group and column_group; {name} is missing")
    if ids.shape != rows.shape[:1] or ids.is_floating_point() or ids.dtype == torch.bool:
        raise ValueError(f"{name} {list(ids.shape)} ({ids.dtype}) must hold one integer for each of {len(rows)} rows")
    return ids.to(rows.device, torch.int64)


def _target_ids(
    targets: str, x: Tensor, row_group: Tensor | None, column_group: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """The ids that say which columns belong to a row, or None where label rows say it."""
    if targets == "labels":
        return None, None
    if targets == "identity":
        index = torch.arange(len(x), device=x.device)
        return index, index
    assert row_group is not None and column_group is not None
    if not torch.compiler.is_compiling() and not bool(torch.isin(row_group, column_group).any()):
        raise ValueError("targets='ids': no id of row_group occurs in column_group, so that there is nothing to learn")
    return row_group, column_group


def _excluded_pairs(excluded: Tensor, row_group: Tensor | None, column_group: Tensor | None) -> Tensor:
    """The relation between groups, [G, G], spread over the pairs of the batch, [N, M]."""
    assert row_group is not None and column_group is not None
    if excluded.dim() != 2 or excluded.shape[0] != excluded.shape[1] or excluded.dtype != torch.bool:
        raise ValueError(f"excluded {list(excluded.shape)} ({excluded.dtype}) must be a bool matrix [G, G]")
    for name, ids in (("row_group", row_group), ("column_group", column_group)):
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= len(excluded):
            raise ValueError(f"{name} holds ids from {low} to {high}; excluded {list(excluded.shape)} needs 0 to G - 1")
    return excluded.to(row_group.device)[row_group[:, None], column_group[None, :]]


def _gather(
    x: Tensor,
    y: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    row_group: Tensor | None,
    column_group: Tensor | None,
    group: dist.ProcessGroup,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """The batch of all ranks. Sizes are compared on every rank, so that a mistake ends all of them."""
    widths = [x.shape[1], 0 if a is None else a.shape[1]]
    ranks = distributed.gather_numbers([len(x), len(y), *widths], group, x.device)
    rows, columns = [rank[0] for rank in ranks], [rank[1] for rank in ranks]
    if any(rank[2:] != widths for rank in ranks):
        raise ValueError(f"the ranks disagree about D and L: {[tuple(rank[2:]) for rank in ranks]}")
    if sum(rows) == 0 or sum(columns) == 0:
        raise ValueError(f"empty batch: the ranks hold {rows} rows of x and {columns} of y")

    def all_rows(tensor: Tensor | None, sizes: list[int]) -> Tensor | None:
        return None if tensor is None else distributed.gather_rows(tensor, sizes, group)

    return (
        distributed.gather_rows(x, rows, group),
        distributed.gather_rows(y, columns, group),
        all_rows(a, rows),
        all_rows(b, columns),
        all_rows(row_group, rows),
        all_rows(column_group, columns),
    )
