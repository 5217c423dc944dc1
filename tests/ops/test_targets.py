"""Targets that need no sweep: distinct label rows, and the alignment of groups against the N x M definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmclip.ops import fused, grouping, soft_contrastive_loss, targets

pytestmark = pytest.mark.usefixtures("extension")


def batch(n: int, m: int, distinct: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[Tensor]:
    """Embeddings, and real-valued label rows of which `distinct` are different on each side; one is empty."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(size, 6, generator=generator, dtype=dtype) / 3 for size in (n, m))
    kinds = [torch.rand(distinct, 5, generator=generator, dtype=dtype) for _ in range(2)]
    kinds[0][0] = 0
    a, b = (
        kind[torch.randint(0, distinct, (size,), generator=generator)] for kind, size in zip(kinds, (n, m), strict=True)
    )
    return [x, y, a, b]


def results(backend: str, x: Tensor, y: Tensor, a: Tensor, b: Tensor, **options: object) -> list[Tensor]:
    leaves = [x.clone().requires_grad_(), y.clone().requires_grad_(), torch.tensor(9.0, dtype=x.dtype).requires_grad_()]
    loss, floor = soft_contrastive_loss(*leaves[:2], a, b, leaves[2], return_floor=True, backend=backend, **options)
    return [loss.detach(), floor, *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("options", [{}, {"label_scale": 6.0}, {"similarity": "dot", "label_scale": 60.0}])
@pytest.mark.parametrize("binary", [False, True])
def test_grouped_equals_ungrouped_and_the_definition(
    options: dict[str, object], binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, a, b = batch(90, 70, 4)
    if binary:
        a, b = (a > 0.5).to(torch.uint8), b > 0.5
    sweeps = []
    sweep = fused.sweep
    monkeypatch.setattr(fused, "sweep", lambda *rest: sweeps.append(rest[0].a is None) or sweep(*rest))
    grouped = results("fused", x, y, a, b, **options)
    monkeypatch.setattr(targets, "few_labels", lambda *rest: None)
    ungrouped = results("fused", x, y, a, b, **options)
    assert sweeps == [True, False], "the first sweep has logits only"
    for forms in zip(grouped, ungrouped, results("eager", x, y, a, b, **options), strict=True):
        torch.testing.assert_close(forms[0], forms[2], rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(forms[1], forms[2], rtol=1e-9, atol=1e-11)


def test_many_different_rows_are_not_grouped() -> None:
    _, _, a, b = batch(40, 40, 40)
    assert grouping.few_labels(a, b, True, 1.0, torch.float64) is None


def test_no_matrix_of_kinds_grows_with_the_batch() -> None:
    """A share of all pairs is too much memory where the batch is large."""
    distinct = math.isqrt(grouping.MOST_PAIRS)
    rows = torch.arange(distinct + 1)[:, None].float()
    assert grouping.few_labels(rows, rows, True, 1.0, torch.float32, share=1.0) is None
    assert grouping.few_labels(rows[1:], rows[1:], True, 1.0, torch.float32, share=1.0) is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_grouping_in_single_precision(dtype: torch.dtype) -> None:
    x, y, a, b = batch(600, 500, 30, torch.float32)
    x, y = x.to(dtype), y.to(dtype)
    leaves = [x.clone().requires_grad_(), y.clone().requires_grad_()]
    loss = soft_contrastive_loss(*leaves, a, b, 9.0, label_scale=5.0, backend="fused")
    assert isinstance(loss, Tensor)
    loss.backward()
    doubles = [t.detach().double().requires_grad_() for t in leaves]
    expected = soft_contrastive_loss(*doubles, a.double(), b.double(), 9.0, label_scale=5.0, backend="eager")
    assert isinstance(expected, Tensor)
    expected.backward()
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    for mine, theirs in zip(leaves, doubles, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        error = (mine.grad.double() - theirs.grad).norm() / theirs.grad.norm()
        assert error < (1e-5 if dtype == torch.float32 else 1e-2)


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 40), labels=st.integers(1, 8), distinct=st.integers(1, 6), seed=st.integers(0, 2**30),
    kind=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.uint8, torch.bool]),
)  # fmt: skip
def test_distinct_rows_are_those_of_unique(n: int, labels: int, distinct: int, seed: int, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    kinds = (torch.rand(distinct, labels, generator=generator) * 3).round().to(kind)
    rows = kinds[torch.randint(0, distinct, (n,), generator=generator)]
    found = grouping.distinct_rows(rows)
    assert found is not None
    kept, group = found
    assert torch.equal(kept[group], rows)
    assert len(kept) == len(torch.unique(rows.float(), dim=0))


def test_rows_with_nan_are_not_grouped() -> None:
    assert grouping.distinct_rows(torch.tensor([[1.0, float("nan")], [0.0, 1.0]])) is None


def test_unequal_rows_of_one_sum_are_not_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collision of the sums of bits must not merge label rows."""
    monkeypatch.setattr(torch, "randint", lambda *rest, **options: torch.zeros(2, dtype=torch.int64))
    assert grouping.distinct_rows(torch.tensor([[1, 2], [2, 1]], dtype=torch.uint8)) is None


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), m=st.integers(1, 30), ids=st.integers(1, 12), seed=st.integers(0, 2**30))
def test_ids_equal_the_definition(n: int, m: int, ids: int, seed: int) -> None:
    x, y, *_ = batch(n, m, 1, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = (torch.randint(0, ids, (size,), generator=generator) for size in (n, m))
    columns[0] = rows[0]
    excluded = torch.rand(ids, ids, generator=generator) < 0.3
    for relation in (None, excluded):
        forms = [
            soft_contrastive_loss(
                x, y, None, None, 5.0, targets="ids", row_group=rows, column_group=columns, excluded=relation,
                return_floor=True, backend=backend,
            )
            for backend in ("fused", "eager")
        ]  # fmt: skip
        torch.testing.assert_close(forms[0], forms[1], rtol=1e-9, atol=1e-11)
