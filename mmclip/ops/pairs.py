"""What the operators of the loss are asked about, in the order of their schema (`csrc/ops.cpp`)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Pairs(NamedTuple):
    """Rows and columns, and what makes the logits S and the targets T of their pairs.

    Attributes:
        x, y: embeddings, [N, D], [M, D] of one floating type.
        logit_scale: [], of the accumulate type: float64 for float64, else float32.
        a, b: label rows [N, L], [M, L] of any type, or both None: then there are no targets.
        cosine: the targets are label_scale * cos(a, b), where a row of zeros has cosine 0; else label_scale * a b^T.
        row_group, column_group, excluded: int64 [N], [M] and a bool relation [G, G], or all None: pairs left out.
    """

    x: Tensor
    y: Tensor
    logit_scale: Tensor
    a: Tensor | None = None
    b: Tensor | None = None
    cosine: bool = False
    label_scale: float = 1.0
    row_group: Tensor | None = None
    column_group: Tensor | None = None
    excluded: Tensor | None = None
