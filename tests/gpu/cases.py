"""One problem on a GPU, and what its rows must be: the definition in float64, for a few rows of any size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmclip.ops import blocks, fused
from mmclip.ops.pairs import Pairs

SAMPLE = 64  # rows and columns that are compared


@dataclass(frozen=True)
class Problem:
    """The arguments of the operators, and the weights of rows and columns."""

    x: Tensor
    y: Tensor
    logit_scale: Tensor
    a: Tensor | None
    b: Tensor | None
    label_scale: float
    row_group: Tensor | None
    column_group: Tensor | None
    excluded: Tensor | None

    def statistics(self) -> tuple[Tensor, Tensor]:
        return fused.statistics(self.pairs())

    def gradient(self, row_shift: Tensor, column_shift: Tensor) -> tuple[Tensor, Tensor]:
        return fused.gradient(self.pairs(), row_shift, column_shift)

    def pairs(self) -> Pairs:
        groups = (self.row_group, self.column_group, self.excluded)
        return Pairs(self.x, self.y, self.logit_scale, self.a, self.b, True, self.label_scale, *groups)

    def double(self) -> Problem:
        def wide(tensor: Tensor | None) -> Tensor | None:
            return tensor.double() if tensor is not None and tensor.is_floating_point() else tensor

        return replace(self, **{name: wide(getattr(self, name)) for name in ("x", "y", "logit_scale", "a", "b")})

    def some(self, rows: Tensor | slice, columns: Tensor | slice) -> Problem:
        """The problem of some rows and columns."""

        def pick(name: str, which: Tensor | slice) -> Tensor | None:
            tensor = getattr(self, name)
            return None if tensor is None else tensor[which]

        by_row = {name: pick(name, rows) for name in ("x", "a", "row_group")}
        return replace(self, **by_row, **{name: pick(name, columns) for name in ("y", "b", "column_group")})


def problem(
    n: int, m: int, d: int = 512, labels: str = "none", scale: float = 30.0, excluded: bool = False,
    dtype: torch.dtype = torch.bfloat16, width: int = 14,
) -> Problem:  # fmt: skip
    """A random problem; labels: none, binary or real."""
    generator = torch.Generator("cuda").manual_seed(n + m)

    def rows(count: int) -> Tensor:
        values = torch.randn(count, d, generator=generator, device="cuda")
        return torch.nn.functional.normalize(values, dim=1).to(dtype)

    def label_rows(count: int) -> Tensor | None:
        if labels == "none":
            return None
        values = torch.randn(count, width, generator=generator, device="cuda")
        return (values > 0.8).to(torch.uint8) if labels == "binary" else values

    groups: list[Tensor | None] = [None, None, None]
    if excluded:
        relation = torch.rand(50, 50, generator=generator, device="cuda") < 0.1
        groups = [torch.randint(50, (size,), generator=generator, device="cuda") for size in (n, m)] + [relation]
    x, y = rows(n), rows(m)
    return Problem(x, y, torch.tensor(scale, device="cuda"), label_rows(n), label_rows(m), 8.0, *groups)


def compare(given: Problem) -> None:
    """Compare the statistics and the gradients of a sample of rows and of columns with the definition in float64."""
    n, m = len(given.x), len(given.y)
    wide = given.double()
    results = given.statistics()
    weights = [torch.where(part[1] > 0, 0.5 / part.shape[1], 0.0) for part in results]
    shifts = [fused.shifts(part, weight) for part, weight in zip(results, weights, strict=True)]
    gradients = given.gradient(*shifts)
    bf16 = given.x.dtype == torch.bfloat16
    for side, size in enumerate((n, m)):
        picked = torch.randperm(size, device="cuda")[:SAMPLE]
        part = wide.some(picked, slice(None)) if side == 0 else wide.some(slice(None), picked)
        wanted = blocks.statistics(part.pairs())[side]
        torch.testing.assert_close(meaning(results[side][:, picked]), meaning(wanted), rtol=1e-5, atol=5e-3)
        cut = [shift.double()[:, picked] if s == side else shift.double() for s, shift in enumerate(shifts)]
        exact = blocks.gradient(part.pairs(), *cut)[side]
        error = (gradients[side][picked] - exact).norm() / exact.norm()
        assert error < (6e-3 if bf16 else 1e-4), f"relative error {error:.1e}"


def meaning(statistics: Tensor) -> Tensor:
    """What does not depend on the peaks; 0 where all is left out."""
    peaks, sums = statistics[0::2][: len(statistics) // 2].double(), statistics[1::2].double()
    out = list(peaks + sums.log())
    if len(statistics) > 2:
        out.append(statistics[4].double() / statistics[3].double())
    return torch.where(statistics[1] == 0, 0, torch.stack(out))
