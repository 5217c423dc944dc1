"""One problem of the loss, and its statistics and gradient by the definition, in float64 (csrc/soft_contrastive.h)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.csrc.ptx.numbers import Array, bfloat16_to_float, float_to_bfloat16


@dataclass(frozen=True)
class Problem:
    """x [N, D], y [M, D]: float64, exact in the type the kernels get. Labels a [N, L], b [M, L] or None.

    `row_group` [N], `column_group` [M] and `excluded` [G, G] are given together or not at all.
    """

    x: Array
    y: Array
    logit_scale: float
    a: Array | None = None
    b: Array | None = None
    cosine: bool = False
    label_scale: float = 1.0
    row_group: Array | None = None
    column_group: Array | None = None
    excluded: Array | None = None

    def logits(self) -> Array:
        """S [N, M], minus infinity where a pair is left out."""
        return self._without_excluded(float(np.float32(self.logit_scale)) * (self.x @ self.y.T))

    def targets(self) -> Array | None:
        """T [N, M], likewise, or None without labels."""
        if self.a is None or self.b is None:
            return None
        a, b = self.a.astype(np.float64), self.b.astype(np.float64)
        if self.cosine:
            a, b = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-300) for side in (a, b))
        return self._without_excluded(self.label_scale * (a @ b.T))

    def _without_excluded(self, values: Array) -> Array:
        if self.row_group is None or self.column_group is None or self.excluded is None:
            return values
        return np.where(self.excluded[self.row_group[:, None], self.column_group] != 0, -np.inf, values)


@dataclass(frozen=True)
class Summary:
    """What statistics mean, whatever their peaks: lse S, lse T and sum e^T S / sum e^T of each line."""

    logits: Array
    targets: Array | None
    alignment: Array | None


def summarise(statistics: Array) -> Summary:
    """Statistics [5 or 2, lines] as a kernel returns them. A line with nothing to sum has minus infinity and NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = statistics.astype(np.float64)
        logits = np.where(values[1] == 0, -np.inf, values[0] + np.log(values[1]))
        if len(values) == 2:
            return Summary(logits, None, None)
        targets = np.where(values[3] == 0, -np.inf, values[2] + np.log(values[3]))
        return Summary(logits, targets, values[4] / values[3])


def definition(problem: Problem, axis: int) -> Summary:
    """The same from the definition: over the columns (axis 1) or the rows (axis 0)."""
    logits, targets = problem.logits(), problem.targets()
    if targets is None:
        return Summary(_lse(logits, axis), None, None)
    with np.errstate(invalid="ignore"):
        weights = np.exp(targets - np.expand_dims(_lse(targets, axis), axis))
        alignment = np.where(np.isneginf(logits), 0, weights * np.where(np.isneginf(logits), 0, logits)).sum(axis)
        alignment = np.where(np.isneginf(targets).all(axis), np.nan, alignment)
    return Summary(_lse(logits, axis), _lse(targets, axis), alignment)


def gradient(problem: Problem, row_shift: Array, column_shift: Array) -> tuple[Array, Array]:
    """G [N, M], and the sum of its four terms' magnitudes."""
    with np.errstate(over="ignore"):
        logits, targets = problem.logits(), problem.targets()
        plus = np.exp(logits - row_shift[0][:, None]) + np.exp(logits - column_shift[0])
        if targets is None:
            return plus, plus
        minus = np.exp(targets - row_shift[1][:, None]) + np.exp(targets - column_shift[1])
        return plus - minus, plus + minus


def rounded(values: Array) -> Array:
    """The nearest bfloat16 numbers, as float64."""
    return bfloat16_to_float(float_to_bfloat16(values)).astype(np.float64)


def _lse(values: Array, axis: int) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        peak = values.max(axis)
        peak = np.where(np.isfinite(peak), peak, 0)
        return np.asarray(peak + np.log(np.exp(values - np.expand_dims(peak, axis)).sum(axis)))
