"""What all ranks must have in common before they compute one loss, compared at the cost of one small message.

A mistake on one rank would else leave the others waiting for it, or mix what does not belong together.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NoReturn

import torch

from mmclip.ops.arguments import Arguments
from mmclip.ops.collectives import Group, exchange_numbers
from mmclip.ops.ranks import Ranks

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


def agree(given: Arguments, return_floor: bool, wanted: bool, group: Group) -> Ranks:
    """Which rows and columns each rank has, once all are known to compute the same.

    Args:
        given: this rank's rows and columns, and what the loss is asked for.
        return_floor: of the loss.
        wanted: whether a gradient is: backward exchanges too, so that all ranks must run it or none.
        group: the process group.

    Raises:
        ValueError: on every rank: the ranks disagree, or one has refused, or all together have no rows or no columns.
    """
    mine = [
        _TARGETS.index(given.targets),
        int(given.cosine),
        struct.unpack("q", struct.pack("d", given.label_scale))[0],
        int(return_floor),
        int(wanted),
        given.x.shape[1],
        0 if given.b is None else given.b.shape[1],
        _TYPES.index(given.x.dtype),
        *(-1 if labels is None else _TYPES.index(labels.dtype) for labels in (given.a, given.b)),
        -1 if given.excluded is None else len(given.excluded),
    ]
    ranks = exchange_numbers([len(given.x), len(given.y), *mine], "", group)
    for place, (name, shown) in enumerate(_AGREED.items(), start=2):
        if len({rank[place] for rank in ranks}) > 1:
            raise ValueError(f"the ranks disagree about {name}: {[shown(rank[place]) for rank in ranks]}")
    rows, columns = [rank[0] for rank in ranks], [rank[1] for rank in ranks]
    if sum(rows) == 0 or sum(columns) == 0:
        raise ValueError(f"empty batch: the ranks hold {rows} rows of x and {columns} of y")
    return Ranks(rows, columns, group)


def refuse(reason: str, group: Group) -> NoReturn:
    """Tell the ranks that are about to :func:`agree` that this one cannot.

    Raises:
        ValueError: here and on every other rank, with the reason.
    """
    exchange_numbers([0] * (2 + len(_AGREED)), reason or "refused", group)
    raise AssertionError("the ranks went on without this one")
