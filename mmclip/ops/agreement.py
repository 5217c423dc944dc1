"""What all ranks must have in common before they compute one loss, compared at the cost of one small message.

A mistake on one rank would else leave the others waiting for it, or mix what does not belong together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from mmclip.ops.collectives import Group, exchange_numbers

_TARGETS = ("labels", "identity", "ids")

_TYPES = (
    *(torch.float64, torch.float32, torch.bfloat16, torch.float16),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
)

_AGREED: dict[str, Callable[[int], object]] = {
    "targets": lambda code: _TARGETS[code],
    "whether the similarity is the cosine": bool,
    "label_scale": lambda code: struct.unpack("d", struct.pack("q", code))[0],
    "return_floor": bool,
    "whether a gradient is wanted": bool,
    "D": int,
    "L": int,
    "the type of x and y": lambda code: _TYPES[code],
    "the type of a": lambda code: _TYPES[code] if code >= 0 else None,
    "the type of b": lambda code: _TYPES[code] if code >= 0 else None,
    "the groups of excluded": lambda code: code if code >= 0 else None,
}
"""What must be the same on every rank, and how to show the number that stands for it."""


@dataclass(frozen=True)
class Settings:
    """What the loss is asked for.

    Attributes:
        targets, cosine, label_scale, return_floor: of the loss.
        wanted: whether a gradient is: backward exchanges too, so that all ranks must run it or none.
    """

    targets: str
    cosine: bool
    label_scale: float
    return_floor: bool
    wanted: bool


def agree(
    x: Tensor,
    y: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    excluded: Tensor | None,
    settings: Settings,
    group: Group,
) -> tuple[list[int], list[int]]:
    """The numbers of rows and of columns of each rank, once all are known to compute the same.

    Args:
        x, y: this rank's rows [n, D] and columns [m, D].
        a, b: their label rows, [n, L] and [m, L], or None.
        excluded: the relation between groups, [G, G], or None.
        settings: what it is asked for.
        group: the process group.

    Raises:
        ValueError: on every rank: the ranks disagree, or one has refused, or all together have no rows or no columns.
    """
    mine = [
        _TARGETS.index(settings.targets),
        int(settings.cosine),
        struct.unpack("q", struct.pack("d", settings.label_scale))[0],
        int(settings.return_floor),
        int(settings.wanted),
        x.shape[1],
        0 if b is None else b.shape[1],
        _TYPES.index(x.dtype),
        *(-1 if labels is None else _TYPES.index(labels.dtype) for labels in (a, b)),
        -1 if excluded is None else len(excluded),
    ]
    ranks = exchange_numbers([len(x), len(y), *mine], "", group)
    for place, (name, shown) in enumerate(_AGREED.items(), start=2):
        if len({rank[place] for rank in ranks}) > 1:
            raise ValueError(f"the ranks disagree about {name}: {[shown(rank[place]) for rank in ranks]}")
    rows, columns = [rank[0] for rank in ranks], [rank[1] for rank in ranks]
    if sum(rows) == 0 or sum(columns) == 0:
        raise ValueError(f"empty batch: the ranks hold {rows} rows of x and {columns} of y")
    return rows, columns


def refuse(reason: str, group: Group) -> NoReturn:
    """Tell the ranks that are about to :func:`agree` that this one cannot.

    Raises:
        ValueError: here and on every other rank, with the reason.
    """
    exchange_numbers([0] * (2 + len(_AGREED)), reason or "refused", group)
    raise AssertionError("the ranks went on without this one")
