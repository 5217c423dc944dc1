"""The loss against loops in double precision, known values, losses it reduces to, and its invariances."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from mmclip.ops import soft_contrastive_loss


def example(n: int, m: int, d: int, labels: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Unit embeddings and 0/1 labels with some empty rows."""
    generator = torch.Generator().manual_seed(seed)
    x = normalize(torch.randn(n, d, generator=generator, dtype=dtype), dim=1)
    y = normalize(torch.randn(m, d, generator=generator, dtype=dtype), dim=1)
    a = (torch.rand(n, labels, generator=generator) < 0.3).to(dtype)
    b = (torch.rand(m, labels, generator=generator) < 0.3).to(dtype)
    a[0] = 0
    return [x, y, a, b]


def brute_force(
    x: Tensor, y: Tensor, target: list[list[float | None]], s: float, excluded: list[list[bool]] | None = None
) -> tuple[float, float]:
    """Loss and floor by loops. `target` holds T_ij, or None where the pair has no target."""
    n, m = len(x), len(y)
    logits = [
        [s * sum(p * q for p, q in zip(x[i].tolist(), y[j].tolist(), strict=True)) for j in range(m)] for i in range(n)
    ]
    excluded = excluded or [[False] * m for _ in range(n)]
    loss = floor = 0.0
    for lines in (
        [[(i, j) for j in range(m)] for i in range(n)],
        [[(i, j) for i in range(n)] for j in range(m)],
    ):
        losses, entropies = [], []
        for line in lines:
            kept = [(i, j) for i, j in line if not excluded[i][j]]
            weights = {(i, j): math.exp(t) for i, j in kept if (t := target[i][j]) is not None}
            if not weights:
                continue
            total = sum(math.exp(logits[i][j]) for i, j in kept)
            p = {pair: weight / sum(weights.values()) for pair, weight in weights.items()}
            losses.append(-sum(v * math.log(math.exp(logits[i][j]) / total) for (i, j), v in p.items()))
            entropies.append(-sum(v * math.log(v) for v in p.values()))
        loss += sum(losses) / len(losses) / 2
        floor += sum(entropies) / len(entropies) / 2
    return loss, floor


def similarity(a: Tensor, b: Tensor, kind: str) -> float:
    dot = sum(p * q for p, q in zip(a.tolist(), b.tolist(), strict=True))
    lengths = math.sqrt(sum(p * p for p in a.tolist()) * sum(q * q for q in b.tolist()))
    return dot if kind == "dot" else (dot / lengths if lengths else 0.0)


@pytest.mark.parametrize("kind", ["cosine", "dot"])
@pytest.mark.parametrize(("n", "m", "d", "labels"), [(1, 1, 1, 1), (5, 5, 3, 14), (7, 4, 5, 3), (3, 19, 33, 1)])
def test_labels_agree_with_loops(backend: str, kind: str, n: int, m: int, d: int, labels: int) -> None:
    x, y, a, b = example(n, m, d, labels)
    target = [[1.7 * similarity(a[i], b[j], kind) for j in range(m)] for i in range(n)]
    expected = brute_force(x, y, target, 9.0)
    got = soft_contrastive_loss(x, y, a, b, 9.0, label_scale=1.7, similarity=kind, return_floor=True, backend=backend)
    assert [value.item() for value in got] == pytest.approx(expected, rel=1e-12, abs=1e-14)


def test_ids_agree_with_loops_and_leave_out_rows_without_a_partner(backend: str) -> None:
    x, y, *_ = example(5, 4, 6, 2)
    rows, columns = torch.tensor([7, 3, 3, -1, 7]), torch.tensor([3, 7, 7, 12])
    target = [[0.0 if rows[i] == columns[j] else None for j in range(4)] for i in range(5)]
    got = soft_contrastive_loss(
        x, y, None, None, 4.0, targets="ids", row_group=rows, column_group=columns, return_floor=True, backend=backend
    )
    assert [value.item() for value in got] == pytest.approx(brute_force(x, y, target, 4.0), rel=1e-12)


def test_excluded_pairs_agree_with_loops(backend: str) -> None:
    x, y, a, b = example(5, 4, 6, 3)
    rows, columns = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([1, 0, 2, 1])
    relation = torch.tensor([[True, True, True], [False, False, True], [True, False, False]])
    pairs = [[bool(relation[rows[i], columns[j]]) for j in range(4)] for i in range(5)]
    assert pairs[0] == [True] * 4, "a row with every pair taken out must be left out of the mean"
    target = [[similarity(a[i], b[j], "cosine") for j in range(4)] for i in range(5)]
    x.requires_grad_()
    loss, floor = soft_contrastive_loss(
        x, y, a, b, 4.0, row_group=rows, column_group=columns, excluded=relation, return_floor=True, backend=backend
    )
    assert [loss.item(), floor.item()] == pytest.approx(brute_force(x, y, target, 4.0, pairs), rel=1e-12)
    loss.backward()
    assert x.grad is not None and x.grad.isfinite().all() and x.grad[0].eq(0).all()
    wanted = {"row_group": rows, "column_group": columns, "excluded": relation, "backend": backend}
    assert torch.autograd.gradcheck(
        lambda p, q: soft_contrastive_loss(p, q, a, b, 4.0, **wanted), (x, y.requires_grad_())
    )


@pytest.mark.parametrize("targets", ["identity", "ids"])
def test_excluded_pairs_without_labels_agree_with_loops(backend: str, targets: str) -> None:
    x, y, *_ = example(5, 5, 6, 3)
    rows, columns = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([1, 0, 2, 1, 0])
    relation = torch.tensor([[False, True, True], [False, True, False], [True, False, False]])
    pairs = [[bool(relation[rows[i], columns[j]]) for j in range(5)] for i in range(5)]
    belongs = [[i == j if targets == "identity" else bool(rows[i] == columns[j]) for j in range(5)] for i in range(5)]
    target = [[0.0 if belongs[i][j] and not pairs[i][j] else None for j in range(5)] for i in range(5)]
    got = soft_contrastive_loss(
        x, y, None, None, 4.0, targets=targets, row_group=rows, column_group=columns, excluded=relation,
        return_floor=True, backend=backend,
    )  # fmt: skip
    assert [value.item() for value in got] == pytest.approx(brute_force(x, y, target, 4.0, pairs), rel=1e-12)


def test_a_case_by_hand(backend: str) -> None:
    """Two images, two texts, one label in common: T = [[1, 0], [0, 0]], S = 2 T."""
    x = y = torch.eye(2, dtype=torch.float64)[:, :1].contiguous()
    a = b = torch.tensor([[1.0], [0.0]])
    loss = soft_contrastive_loss(x, y, a, b, 2.0, backend=backend)
    p, q = math.e / (math.e + 1), math.exp(2) / (math.exp(2) + 1)
    first = -p * math.log(q) - (1 - p) * math.log(1 - q)
    assert loss.item() == pytest.approx((first + math.log(2)) / 2, rel=1e-14)


def test_identity_is_cross_entropy_with_the_diagonal(backend: str) -> None:
    x, y, *_ = example(17, 17, 8, 2)
    index = torch.arange(17)
    logits = 14.3 * x @ y.T
    expected = (cross_entropy(logits, index) + cross_entropy(logits.T, index)) / 2
    loss, floor = soft_contrastive_loss(x, y, None, None, 14.3, targets="identity", return_floor=True, backend=backend)
    torch.testing.assert_close(loss, expected)
    assert floor.item() == 0


def test_labels_are_cross_entropy_with_probabilities(backend: str) -> None:
    x, y, a, b = example(9, 13, 8, 5)
    logits, target = 14.3 * x @ y.T, a @ b.T
    expected = (cross_entropy(logits, target.softmax(1)) + cross_entropy(logits.T, target.T.softmax(1))) / 2
    torch.testing.assert_close(soft_contrastive_loss(x, y, a, b, 14.3, similarity="dot", backend=backend), expected)


def test_one_sharp_label_a_row_is_the_same_as_ids(backend: str) -> None:
    x, y, *_ = example(12, 12, 8, 2)
    ids = torch.arange(12) % 5
    labels = torch.nn.functional.one_hot(ids).double()
    wanted = {"backend": backend, "return_floor": True}
    by_label = soft_contrastive_loss(x, y, labels, labels, 10.0, label_scale=100.0, **wanted)
    by_id = soft_contrastive_loss(x, y, None, None, 10.0, targets="ids", row_group=ids, column_group=ids, **wanted)
    torch.testing.assert_close(by_label, by_id)


def test_the_floor_is_reached_where_logits_equal_targets(backend: str) -> None:
    _, _, a, b = example(11, 8, 2, 6)
    a, b = a[1:] + 0.01, b + 0.01
    loss, floor = soft_contrastive_loss(
        normalize(a, dim=1).requires_grad_(),
        normalize(b, dim=1),
        a,
        b,
        3.0,
        label_scale=3.0,
        return_floor=True,
        backend=backend,
    )
    torch.testing.assert_close(loss, floor)
    assert loss.requires_grad and not floor.requires_grad


def test_no_logit_scale_gives_the_uniform_loss(backend: str) -> None:
    x, y, a, b = example(6, 9, 4, 3)
    scale = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    loss = soft_contrastive_loss(x, y, a, b, scale, backend=backend)
    assert loss.item() == pytest.approx((math.log(6) + math.log(9)) / 2)
    loss.backward()
    step = 1e-6
    expected = (soft_contrastive_loss(x, y, a, b, step, backend="eager") - loss.item()) / step
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("options", [{"similarity": "dot"}, {"label_scale": 30.0}])
def test_derivatives(backend: str, scale: float, options: dict[str, object]) -> None:
    x, y, a, b = example(5, 7, 3, 4)
    s = torch.tensor(scale + 1e-3, dtype=torch.float64)

    def loss(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        value = soft_contrastive_loss(p, q, a, b, r, backend=backend, **options)
        assert isinstance(value, Tensor)
        return value

    assert torch.autograd.gradcheck(loss, (x.requires_grad_(), y.requires_grad_(), s.requires_grad_()))


def test_derivatives_by_ids(backend: str) -> None:
    x, y, *_ = example(5, 4, 3, 4)
    wanted = {"targets": "ids", "row_group": torch.tensor([0, 1, 1, 5, 2]), "column_group": torch.tensor([1, 0, 9, 1])}
    assert torch.autograd.gradcheck(
        lambda p, q: soft_contrastive_loss(p, q, None, None, 3.0, backend=backend, **wanted),
        (x.requires_grad_(), y.requires_grad_()),
    )


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 2**30), scale=st.floats(0, 100))
def test_reordering_rows_and_columns_changes_nothing(n: int, m: int, seed: int, scale: float) -> None:
    x, y, a, b = example(n, m, 5, 3, seed)
    i, j = torch.randperm(n), torch.randperm(m)
    expected = soft_contrastive_loss(x, y, a, b, scale, return_floor=True, backend="eager")
    got = soft_contrastive_loss(x[i], y[j], a[i], b[j], scale, return_floor=True, backend="eager")
    torch.testing.assert_close(got, expected)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 2**30), scale=st.floats(0, 100))
def test_never_below_the_floor_and_symmetric(n: int, m: int, seed: int, scale: float) -> None:
    x, y, a, b = example(n, m, 5, 3, seed)
    loss, floor = soft_contrastive_loss(x, y, a, b, scale, label_scale=5.0, return_floor=True, backend="eager")
    assert loss >= floor - 1e-12 and floor >= -1e-12
    torch.testing.assert_close(soft_contrastive_loss(y, x, b, a, scale, label_scale=5.0, backend="eager"), loss)


def test_single_precision_of_half_precision_embeddings_and_autocast(backend: str) -> None:
    x, y, a, b = example(9, 9, 16, 4, dtype=torch.float32)
    half = [x.bfloat16().requires_grad_(), y.bfloat16()]
    with torch.autocast("cpu", torch.bfloat16):
        loss = soft_contrastive_loss(*half, a, b, 50.0, backend=backend)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        loss, soft_contrastive_loss(half[0].float(), half[1].float(), a, b, 50.0, backend="eager")
    )
    loss.backward()
    assert half[0].grad is not None and half[0].grad.dtype == torch.bfloat16


def test_labels_of_any_type_are_constants() -> None:
    x, y, a, b = example(4, 4, 3, 2)
    expected = soft_contrastive_loss(x, y, a, b, 2.0, backend="eager")
    a.requires_grad_()
    x.requires_grad_()
    soft_contrastive_loss(x, y, a, b, 2.0, backend="eager").backward()
    assert a.grad is None
    assert soft_contrastive_loss(x, y, a.bool(), b.int(), 2.0, backend="eager").item() == expected.item()


IDS = torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.ones(0, 4)}, r"empty batch: x \[0, 4\], y \[3, 4\]"),
        ({"y": torch.ones(3, 5)}, r"x \[3, 4\] and y \[3, 5\] must be \[N, D\] and \[M, D\]"),
        ({"y": torch.ones(3, 4).double()}, r"x \(torch.float32\) and y \(torch.float64\) must be of one floating type"),
        ({"x": torch.ones(3, 4).int(), "y": torch.ones(3, 4).int()}, "one floating type"),
        ({"b": torch.ones(3, 3)}, r"a \[3, 2\] and b \[3, 3\].*\[N, L\] and \[M, L\]"),
        ({"a": torch.ones(2, 2)}, "a needs one row for each of x"),
        ({"a": None}, "needs the label vectors"),
        ({"logit_scale": -1.0}, r"logit_scale=-1.0: must be finite and not negative"),
        ({"logit_scale": torch.tensor(math.nan)}, r"logit_scale=nan"),
        ({"logit_scale": torch.ones(2)}, r"logit_scale has shape \[2\]"),
        ({"label_scale": math.inf}, r"label_scale=inf"),
        ({"similarity": "euclid"}, "similarity='euclid'"),
        ({"targets": "hard"}, "targets='hard'"),
        ({"backend": "cuda"}, "backend='cuda'"),
        ({"targets": "identity", "x": torch.ones(2, 4)}, "x has 2 rows and y has 3"),
        ({"targets": "ids", "row_group": IDS}, "column_group is missing"),
        ({"targets": "ids", "row_group": IDS, "column_group": IDS[:2]}, r"column_group \[2\].*each of 3 rows"),
        ({"targets": "ids", "row_group": IDS, "column_group": IDS.float()}, r"torch.float32"),
        ({"targets": "ids", "row_group": IDS, "column_group": IDS + 1}, "nothing to learn"),
        ({"excluded": torch.zeros(1, 1, dtype=torch.bool)}, "row_group is missing"),
        (
            {"excluded": torch.zeros(1, 1, dtype=torch.bool), "row_group": IDS, "column_group": IDS + 1},
            "column_group holds ids from 1 to 1",
        ),
        (
            {"excluded": torch.zeros(1, 2, dtype=torch.bool), "row_group": IDS, "column_group": IDS},
            r"bool matrix \[G, G\]",
        ),
        ({"backend": "fused", "x": torch.ones(3, 4).half(), "y": torch.ones(3, 4).half()}, "torch.float16"),
    ],
)
def test_mistakes_are_named(change: dict[str, object], message: str) -> None:
    wanted = {
        "x": torch.ones(3, 4), "y": torch.ones(3, 4), "a": torch.ones(3, 2), "b": torch.ones(3, 2), "logit_scale": 1.0,
        "backend": "eager",
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        soft_contrastive_loss(**{**wanted, **change})
