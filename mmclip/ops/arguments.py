"""What `soft_contrastive_loss` is given, checked.

Values are read on the CPU only: on another device the host would wait for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mmclip.ops.pairs import Pairs


@dataclass(frozen=True)
class Arguments:
    """Checked arguments; what the targets do not use is None.

    Attributes:
        x, y: [N, D], [M, D] of one floating type, on one device.
        a, b: label rows [N, L], [M, L] as given, constants: uint8, bool or floating.
        logit_scale: [], of the accumulate type: float64 for float64, else float32.
        row_group, column_group: int64 [N], [M].
        excluded: bool [G, G].
    """

    x: Tensor
    y: Tensor
    a: Tensor | None
    b: Tensor | None
    logit_scale: Tensor
    label_scale: float
    cosine: bool
    targets: str
    row_group: Tensor | None
    column_group: Tensor | None
    excluded: Tensor | None

    @property
    def dtype(self) -> torch.dtype:
        """The accumulate type."""
        return self.logit_scale.dtype

    def pairs(self, labels: bool) -> Pairs:
        """What the operators are asked, with the targets from labels or without."""
        pairs = Pairs(self.x, self.y, self.logit_scale)
        if labels:
            pairs = pairs._replace(a=self.a, b=self.b, cosine=self.cosine, label_scale=self.label_scale)
        if self.excluded is not None:
            pairs = pairs._replace(row_group=self.row_group, column_group=self.column_group, excluded=self.excluded)
        return pairs


def check(
    x: Tensor,
    y: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    logit_scale: Tensor | float,
    label_scale: float,
    similarity: str,
    targets: str,
    row_group: Tensor | None,
    column_group: Tensor | None,
    excluded: Tensor | None,
    *,
    of_many_ranks: bool,
) -> Arguments:
    """The arguments of `soft_contrastive_loss`, checked and brought to one device.

    Args:
        of_many_ranks: the rows are one rank's: there may be none, and the columns' ids may be on another rank.

    Raises:
        ValueError: shapes, types or values that do not fit.
    """
    dtype = _check_embeddings(x, y, of_many_ranks)
    scale = _checked_scale(logit_scale, label_scale, dtype, x.device)
    if similarity not in ("cosine", "dot"):
        raise ValueError(f"similarity={similarity!r}: must be 'cosine' or 'dot'")
    if targets not in ("labels", "identity", "ids"):
        raise ValueError(f"targets={targets!r}: must be 'labels', 'identity' or 'ids'")
    if targets == "identity" and len(x) != len(y):
        raise ValueError(f"targets='identity' pairs row i with column i, but x has {len(x)} rows and y has {len(y)}")
    a, b = _label_rows(a, b, x, y, dtype) if targets == "labels" else (None, None)
    if targets != "ids" and excluded is None:
        row_group = column_group = None
    else:
        why = "targets='ids'" if targets == "ids" else "excluded"
        row_group, column_group = _ids("row_group", row_group, x, why), _ids("column_group", column_group, y, why)
        if (
            targets == "ids"
            and not of_many_ranks
            and _readable(x)
            and not bool(torch.isin(row_group, column_group).any())
        ):
            raise ValueError(
                "targets='ids': no id of row_group occurs in column_group, so that there is nothing to learn"
            )
        excluded = _relation(excluded, row_group, column_group)
    return Arguments(x, y, a, b, scale, label_scale, similarity == "cosine", targets, row_group, column_group, excluded)


def _readable(tensor: Tensor) -> bool:
    """Whether values may be looked at: it costs nothing and breaks no graph."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


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
    if _readable(scale):
        value = float(scale.detach())
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"logit_scale={value}: must be finite and not negative")
    return scale.reshape(()).to(device, dtype)


def _label_rows(a: Tensor | None, b: Tensor | None, x: Tensor, y: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The label rows as constants; types that the operators do not know become the computation's."""
    if a is None or b is None:
        raise ValueError("targets='labels' needs the label vectors a and b")
    shapes = f"a {list(a.shape)} and b {list(b.shape)} with x {list(x.shape)} and y {list(y.shape)}"
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or a.shape[1] == 0:
        raise ValueError(f"{shapes}: a and b must be [N, L] and [M, L]")
    if len(a) != len(x) or len(b) != len(y):
        raise ValueError(f"{shapes}: a needs one row for each of x, b one for each of y")

    def constant(rows: Tensor) -> Tensor:
        known = rows.is_floating_point() or rows.dtype in (torch.uint8, torch.bool)
        return rows.detach().to(x.device, rows.dtype if known else dtype)

    return constant(a), constant(b)


def _ids(name: str, ids: Tensor | None, rows: Tensor, why: str) -> Tensor:
    """Checked ids, one for each row, on the rows' device."""
    if ids is None:
        raise ValueError(f"{why} needs row_group and column_group; {name} is missing")
    if ids.shape != rows.shape[:1] or ids.is_floating_point() or ids.dtype == torch.bool:
        raise ValueError(f"{name} {list(ids.shape)} ({ids.dtype}) must hold one integer for each of {len(rows)} rows")
    return ids.to(rows.device, torch.int64)


def _relation(excluded: Tensor | None, row_group: Tensor, column_group: Tensor) -> Tensor | None:
    """The relation between groups, which must know all of them."""
    if excluded is None:
        return None
    if excluded.dim() != 2 or excluded.shape[0] != excluded.shape[1] or excluded.dtype != torch.bool:
        raise ValueError(f"excluded {list(excluded.shape)} ({excluded.dtype}) must be a bool matrix [G, G]")
    for name, ids in (("row_group", row_group), ("column_group", column_group)):
        if len(ids) == 0 or not _readable(ids):
            continue
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= len(excluded):
            raise ValueError(f"{name} holds ids from {low} to {high}; excluded {list(excluded.shape)} needs 0 to G - 1")
    return excluded.to(row_group.device)
