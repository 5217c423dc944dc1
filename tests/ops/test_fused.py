"""The fused form against the eager one: values, gradients, ragged tiles, precision, and PyTorch's operator checks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops import blocks, build, fused, soft_contrastive, soft_contrastive_loss
from mmclip.ops.pairs import Pairs

pytestmark = [pytest.mark.usefixtures("extension"), pytest.mark.filterwarnings("ignore:TF32 acceleration")]

TILE_ROWS, TILE_COLUMNS = 4096, 256  # csrc/cpu/tile.h
TYPES = [torch.float32, torch.float64, torch.bfloat16]


def example(n: int, m: int, d: int, labels: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Correlated unit embeddings, so that the gradient is not mere noise, and soft labels with empty rows."""
    generator = torch.Generator().manual_seed(n * m + d)
    common = torch.randn(labels, d, generator=generator)
    a, b = torch.rand(n, labels, generator=generator), torch.rand(m, labels, generator=generator)
    a[a < 0.7], b[b < 0.7] = 0, 0
    a[n // 2] = 0
    x = normalize(a @ common + torch.randn(n, d, generator=generator), dim=1)
    y = normalize(b @ common + torch.randn(m, d, generator=generator), dim=1)
    labels_type = torch.promote_types(dtype, torch.float32)
    return [x.to(dtype), y.to(dtype), a.to(labels_type), b.to(labels_type)]


def groups(n: int, m: int) -> dict[str, Tensor]:
    """Seven groups, of which some are excluded from others and one from all."""
    relation = torch.rand(7, 7, generator=torch.Generator().manual_seed(n)) < 0.3
    relation[0] = True
    return {"row_group": torch.arange(n) % 7, "column_group": (torch.arange(m) * 3) % 7, "excluded": relation}


def value_and_gradients(
    x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, s: float, **options: object
) -> list[Tensor]:
    inputs = [
        x.detach().requires_grad_(),
        y.detach().requires_grad_(),
        torch.tensor(s, dtype=torch.promote_types(x.dtype, torch.float32), requires_grad=True),
    ]
    loss, floor = soft_contrastive_loss(inputs[0], inputs[1], a, b, inputs[2], return_floor=True, **options)
    return [loss.detach(), floor, *torch.autograd.grad(3 * loss, inputs)]


def definition(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, s: float, **options: object) -> list[Tensor]:
    """The eager form in double precision, of the same inputs."""
    doubles = [None if tensor is None else tensor.double() for tensor in (x, y, a, b)]
    return value_and_gradients(*doubles, s, backend="eager", **options)


def relative_error(got: Tensor, expected: Tensor) -> float:
    return ((got.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-12)).item()


def assert_close(got: list[Tensor], expected: list[Tensor], dtype: torch.dtype, scale: float) -> None:
    """Sums are exact to rounding; the gradient of bfloat16 embeddings is made of a rounded G and rounded itself."""
    exact, rounded = (1e-12, 1e-12) if dtype == torch.float64 else (2e-5, 6e-3 if dtype == torch.bfloat16 else 2e-5)
    for name, mine, theirs, tolerance in zip(
        ("loss", "floor", "x", "y", "logit_scale"), got, expected, (exact, exact, *[rounded] * 3), strict=True
    ):
        # e^S has the error of S, and one pair has no gradient but that error
        noise = tolerance * max(scale, 1) * (1e-2 if name == "logit_scale" else 1) / max(len(got[2]), len(got[3]))
        difference = (mine.double() - theirs).norm().item()
        assert difference <= tolerance * theirs.norm().item() + noise, (name, difference, theirs.norm().item())


@pytest.fixture(params=["small kernels", "torch.mm"])
def products(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each library of matrix products in turn: the first only where the processor makes it the faster one."""
    with torch.backends.mkldnn.flags(enabled=request.param == "small kernels", allow_tf32=False):
        yield


SHAPES = [
    (1, 1, 1, 1),
    (2, 3, 2, 1),
    (31, 129, 127, 14),
    (65, 64, 64, 64),
    (TILE_ROWS + 1, 31, 16, 14),
    (37, 2 * TILE_COLUMNS + 17, 5, 2),
    (1000, 3, 1024, 14),
    (1100, 700, 40, 17),
]


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("scale", [0.0, 14.3, 100.0])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("n", "m", "d", "labels"), SHAPES)
def test_equals_the_definition_in_double(n: int, m: int, d: int, labels: int, dtype: torch.dtype, scale: float) -> None:
    inputs = example(n, m, d, labels, dtype)
    got = value_and_gradients(*inputs, scale, label_scale=5.0, backend="fused")
    assert got[0].dtype == torch.promote_types(dtype, torch.float32) and got[2].dtype == dtype
    assert_close(got, definition(*inputs, scale, label_scale=5.0), dtype, scale)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("targets", ["labels", "identity", "ids"])
@pytest.mark.parametrize("excluded", [False, True])
def test_every_kind_of_target_over_several_tiles(targets: str, excluded: bool, dtype: torch.dtype) -> None:
    x, y, a, b = example(1300, 1300, 24, 6, dtype)
    options: dict[str, object] = {"targets": targets, **(groups(1300, 1300) if excluded else {})}
    if targets == "ids" and not excluded:
        options |= {"row_group": (torch.arange(1300) // 3).int(), "column_group": torch.arange(1300).flip(0) // 3}
    got = value_and_gradients(x, y, a, b, 20.0, backend="fused", **options)
    expected = definition(x, y, a, b, 20.0, **options)
    assert_close(got, expected, dtype, 20.0)


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.float32, torch.float64, torch.float16, torch.int64])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_labels_of_any_type(kind: torch.dtype, similarity: str) -> None:
    x, y, a, b = example(90, 70, 12, 5)
    a, b = ((rows > 0.8).to(kind) for rows in (a, b))
    got = value_and_gradients(x, y, a, b, 9.0, similarity=similarity, backend="fused", **groups(90, 70))
    assert_close(got, definition(x, y, a, b, 9.0, similarity=similarity, **groups(90, 70)), torch.float32, 9.0)


def test_targets_too_sharp_for_a_common_shift() -> None:
    """A row whose largest similarity lies hundreds below the bound must not lose its targets to underflow."""
    x, y, a, b = example(40, 30, 8, 5, torch.float32)
    options = {"label_scale": 400.0, "similarity": "dot"}
    got = value_and_gradients(x, y, a, b, 100.0, backend="fused", **options)
    for mine, theirs in zip(got, definition(x, y, a, b, 100.0, **options), strict=True):
        assert relative_error(mine, theirs) < 1e-4


def test_embeddings_of_any_length() -> None:
    """The bound of the logits follows the embeddings, whose squares may overflow."""
    x, y, a, b = example(40, 30, 8, 5, torch.float32)
    for factor in (1e-25, 3.0, 1e21):
        got = value_and_gradients(x * factor, y / factor * 1.7, a, b, 14.3, backend="fused")
        expected = definition(x * factor, y / factor * 1.7, a, b, 14.3)
        for mine, theirs in zip(got, expected, strict=True):
            assert relative_error(mine * factor**0, theirs) < 1e-4


def test_inputs_that_are_not_contiguous() -> None:
    x, y, a, b = example(70, 90, 20, 14)
    for dtype in TYPES:
        x, y = x.to(dtype), y.to(dtype)
        expected = value_and_gradients(x, y, a, b, 14.3, backend="fused")
        wide = torch.cat([x, x], 1)[:, :20]
        shifted = torch.cat([y.flatten()[:1], y.flatten()])[1:].view(90, 20)
        for other in (y.T.contiguous().T, shifted):
            got = value_and_gradients(wide, other, a[:, :], b.T.contiguous().T, 14.3, backend="fused")
            for mine, theirs in zip(got, expected, strict=True):
                torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("n", "m", "d"), [(1, 5, 3), (5, 1, 4), (4, 6, 1), (1, 1, 1)])
def test_inputs_stay_as_they_are(n: int, m: int, d: int, dtype: torch.dtype) -> None:
    inputs = example(n, m, d, 1, dtype)
    before = [t.clone() for t in inputs]
    value_and_gradients(*inputs, 14.3, label_scale=3.0, backend="fused")
    assert all(torch.equal(p, q) for p, q in zip(inputs, before, strict=True))


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_not_finite_stays_visible(which: int, value: float, dtype: torch.dtype) -> None:
    """A trainer stops at a loss that is not finite: the fused form must not hide one."""
    inputs = example(70, 90, 20, 14, dtype)
    inputs[which][5, 1] = value
    loss, _, grad_x, *_ = value_and_gradients(*inputs, 10.0, similarity="dot", backend="fused")
    assert not loss.isfinite() and not grad_x.isfinite().any()


@pytest.mark.parametrize("dtype", TYPES)
def test_results_do_not_depend_on_threads_or_repetition(dtype: torch.dtype) -> None:
    """Same bits run to run; also with another number of threads, as far as the library's products have them."""
    inputs = example(1100, 900, 64, 14, dtype)
    before = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            runs.append(value_and_gradients(*inputs, 14.3, backend="fused"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(p, q) for p, q in zip(runs[1], runs[2], strict=True))
    for p, q in zip(runs[0], runs[1], strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6 if dtype != torch.bfloat16 else 1e-2, atol=1e-9)


def test_the_loss_is_not_the_last_layer() -> None:
    """The gradient of the output multiplies through, and parameters before the embeddings learn the same."""
    x, y, a, b = example(30, 20, 12, 5, torch.float64)
    gradients = []
    for backend in ("eager", "fused"):
        layer = torch.nn.Linear(12, 6, dtype=torch.float64)
        torch.manual_seed(0)
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        loss = soft_contrastive_loss(normalize(layer(x), dim=1), normalize(layer(y), dim=1), a, b, 7.0, backend=backend)
        (loss.square() / 3).backward()
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad)
    torch.testing.assert_close(*gradients)


def test_automatic_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, a, b = example(4, 4, 3, 2)
    x.requires_grad_()
    calls = []
    monkeypatch.setattr(fused, "sweep", lambda *rest: calls.append(rest) or x.sum())
    assert isinstance(soft_contrastive_loss(x, y, a, b, 1.0), Tensor)
    assert not calls, "too small to pay: eager"
    monkeypatch.setattr(soft_contrastive, "SMALLEST_FUSED", 16)
    assert isinstance(soft_contrastive_loss(x, y, a, b, 1.0), Tensor)
    assert len(calls) == 1, "built, covered, large enough: fused"
    soft_contrastive_loss(x.half(), y.half(), a, b, 1.0)
    assert len(calls) == 1, "a type that it lacks: eager"
    monkeypatch.setattr(build, "load", lambda: False)
    soft_contrastive_loss(x, y, a, b, 1.0)
    assert len(calls) == 1, "not built: eager"


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("excluded", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_operators_equal_the_plain_ones(labels: bool, excluded: bool, dtype: torch.dtype) -> None:
    x, y, a, b = example(66, 91, 10, 3, dtype)
    kind = torch.promote_types(dtype, torch.float32)
    relation = list(groups(66, 91).values()) if excluded else [None] * 3
    arguments = [x, y, torch.tensor(7.0, dtype=kind), a if labels else None, b if labels else None, True, 4.0]
    arguments += relation
    sides = []
    for statistics in (fused.statistics, blocks.statistics):
        weights = [torch.full((count,), 0.5 / count, dtype=kind) for count in (66, 91)]
        both = statistics(Pairs(*arguments))
        weights = [torch.where(side[1] > 0, weight, 0) for side, weight in zip(both, weights, strict=True)]
        sides.append(
            [fused.shifts(side, weight) for side, weight in zip(both, weights, strict=True)]
            + [fused.value(side, weight) for side, weight in zip(both, weights, strict=True)]
        )
    for mine, theirs in zip(*sides, strict=True):
        torch.testing.assert_close(mine, theirs)
    got, expected = (form.gradient(Pairs(*arguments), *sides[1][:2]) for form in (fused, blocks))
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == kind
        assert relative_error(mine, theirs) < (4e-3 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("labels", [False, True])
def test_statistics_of_parts_merge(labels: bool) -> None:
    x, y, a, b = example(20, 50, 10, 3, torch.float64)
    relation = groups(20, 50)
    row_group, column_group, excluded = relation.values()
    s = torch.tensor(50.0, dtype=torch.float64)

    def rows(start: int, end: int) -> Tensor:
        pair = (a, b[start:end]) if labels else (None, None)
        return fused.statistics(
            Pairs(x, y[start:end], s, *pair, True, 2.0, row_group, column_group[start:end], excluded)
        )[0]

    weight = torch.where(rows(0, 50)[1] > 0, 0.1, 0).double()
    parts = fused.merge(fused.merge(rows(0, 1), rows(1, 9)), rows(9, 50))
    torch.testing.assert_close(fused.shifts(parts, weight), fused.shifts(rows(0, 50), weight))
    torch.testing.assert_close(fused.value(parts, weight), fused.value(rows(0, 50), weight))


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("excluded", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_operator_checks(labels: bool, excluded: bool, dtype: torch.dtype) -> None:
    x, y, a, b = example(6, 9, 5, 3, dtype)
    kind = torch.promote_types(dtype, torch.float32)
    s = torch.tensor(2.0, dtype=kind)
    rest = [a if labels else None, b if labels else None, False, 1.5]
    rest += list(groups(6, 9).values()) if excluded else [None] * 3
    weights = [torch.full((count,), 0.5 / count, dtype=kind) for count in (6, 9)]
    if excluded:
        weights[0][0] = 0
    operators = torch.ops.mmclip
    torch.library.opcheck(operators.soft_contrastive_statistics, (x, y, s, *rest))
    shifts = [
        fused.shifts(side, weight)
        for side, weight in zip(fused.statistics(Pairs(x, y, s, *rest)), weights, strict=True)
    ]
    torch.library.opcheck(operators.soft_contrastive_gradient, (x, y, s, *rest, *shifts))
    leaves = (x.requires_grad_(), y.requires_grad_(), s.requires_grad_())
    rows, columns = torch.arange(6) % 4, torch.arange(9) % 3
    pulls = [(None,) * 3] if labels else [(None,) * 3, (torch.rand(6).to(kind), rows, columns)]
    pulls += [] if labels else [(torch.rand(4, 3).to(kind), rows, columns)]
    for pull in pulls:
        torch.library.opcheck(operators.soft_contrastive_sweep, (*leaves, *rest, *weights, *pull))


@pytest.mark.parametrize("targets", ["labels", "identity"])
def test_a_compiled_step_learns_the_same(targets: str) -> None:
    x, y, a, b = example(24, 24, 6, 3)

    def step(p: Tensor, q: Tensor, s: Tensor) -> Tensor:
        loss = soft_contrastive_loss(
            normalize(p, dim=1), normalize(q, dim=1), a, b, s.exp(), targets=targets, backend="fused"
        )
        assert isinstance(loss, Tensor)
        return 2 * loss

    gradients = []
    for form in (step, torch.compile(step, backend="aot_eager", fullgraph=True)):
        leaves = [x.clone().requires_grad_(), y.clone().requires_grad_(), torch.tensor(2.0, requires_grad=True)]
        gradients.append(torch.autograd.grad(form(*leaves), leaves))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_second_derivatives_are_refused() -> None:
    x, y, a, b = example(4, 4, 3, 2)
    x.requires_grad_()
    loss = soft_contrastive_loss(x, y, a, b, 1.0, backend="fused")
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="backend='eager'"):
        gradient.sum().backward()


def test_the_operators_check_their_inputs() -> None:
    x, y, a, b = example(4, 5, 3, 2)
    s, none = torch.tensor(1.0), torch.zeros(2, 2, dtype=torch.bool)
    rows, columns = torch.tensor([0, 1, 2, 0]), torch.zeros(5, dtype=torch.int64)
    for arguments, message in [
        ((x, y[:, :2], s), r"must be \[N, D\] and \[M, D\]"),
        ((x[:0], y, s), "must not be empty"),
        ((x.half(), y.half(), s), "float32, float64 or bfloat16"),
        ((x, y, torch.ones(2)), "must be one number"),
        ((x, y, s, a), "a and b are given together"),
        ((x, y, s, b, a), r"must be \[N, L\] and \[M, L\]"),
        ((x, y, s, a, b, True, 1.0, rows), "are given together"),
        ((x, y, s, a, b, True, 1.0, rows, columns, none), "row_group holds ids beyond"),
        ((x, y, s, a, b, True, 1.0, columns[:4], columns, none[0]), r"bool matrix \[G, G\]"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            fused.statistics(Pairs(*arguments))
    with pytest.raises(RuntimeError, match=r"row_shift .* must be \[1, 4\]"):
        fused.gradient(Pairs(x, y, s), torch.ones(2, 4), torch.ones(1, 5))


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 90), m=st.integers(1, 90), d=st.integers(1, 40), labels=st.integers(1, 20),
    scale=st.floats(0, 100), seed=st.integers(0, 2**30),
)  # fmt: skip
def test_reordering_and_exchanging_the_sides_changes_nothing(
    n: int, m: int, d: int, labels: int, scale: float, seed: int
) -> None:
    x, y, a, b = example(n, m, d, labels, torch.float64)
    torch.manual_seed(seed)
    i, j = torch.randperm(n), torch.randperm(m)
    loss, floor, grad_x, grad_y, grad_s = value_and_gradients(x, y, a, b, scale, backend="fused")
    moved = value_and_gradients(x[i], y[j], a[i], b[j], scale, backend="fused")
    swapped = value_and_gradients(y, x, b, a, scale, backend="fused")
    for got in (moved, [loss, floor, grad_x[i], grad_y[j], grad_s]), (swapped, [loss, floor, grad_y, grad_x, grad_s]):
        for mine, theirs in zip(*got, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
