"""The fused form against the eager one: values, gradients, ragged tiles, precision, and PyTorch's operator checks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmclip.ops import build, soft_contrastive_loss

pytestmark = [pytest.mark.usefixtures("extension"), pytest.mark.filterwarnings("ignore:TF32 acceleration")]

TILE_ROWS, TILE_COLUMNS = 4096, 256  # csrc/cpu/tile.h


def example(n: int, m: int, d: int, labels: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Correlated unit embeddings, so that the gradient is not mere noise, and soft labels with empty rows."""
    generator = torch.Generator().manual_seed(n * m + d)
    common = torch.randn(labels, d, generator=generator, dtype=dtype)
    a = torch.rand(n, labels, generator=generator, dtype=dtype)
    b = torch.rand(m, labels, generator=generator, dtype=dtype)
    a[a < 0.7], b[b < 0.7] = 0, 0
    a[n // 2] = 0
    x = normalize(a @ common + torch.randn(n, d, generator=generator, dtype=dtype), dim=1)
    y = normalize(b @ common + torch.randn(m, d, generator=generator, dtype=dtype), dim=1)
    return [x, y, a, b]


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


def relative_error(got: Tensor, expected: Tensor) -> float:
    return ((got.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-12)).item()


@pytest.fixture(params=["small kernels", "torch.mm"])
def products(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each library of matrix products in turn: the first only where the processor makes it the faster one."""
    with torch.backends.mkldnn.flags(enabled=request.param == "small kernels", allow_tf32=False):
        yield


SHAPES = [
    (1, 1, 1, 1),
    (3, 70, 33, 14),
    (65, 65, 7, 3),
    (TILE_ROWS + 1, 31, 16, 14),
    (37, 2 * TILE_COLUMNS + 17, 5, 2),
    (1100, 700, 40, 14),
]


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("scale", [0.0, 14.3, 100.0])
@pytest.mark.parametrize(("n", "m", "d", "labels"), SHAPES)
def test_single_precision_equals_the_definition_in_double(n: int, m: int, d: int, labels: int, scale: float) -> None:
    x, y, a, b = example(n, m, d, labels)
    got = value_and_gradients(x, y, a, b, scale, label_scale=5.0, backend="fused")
    expected = value_and_gradients(
        x.double(), y.double(), a.double(), b.double(), scale, label_scale=5.0, backend="eager"
    )
    assert got[0].dtype == torch.float32
    if n == m == 1:  # one pair: nothing to learn
        assert all(value.abs().max() < 1e-5 for value in got)
        return
    for name, mine, theirs in zip(("loss", "floor", "x", "y", "logit_scale"), got, expected, strict=True):
        assert relative_error(mine, theirs) < 1e-5, name


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("targets", ["identity", "ids"])
def test_hard_targets_over_several_tiles(targets: str) -> None:
    x, y, *_ = example(1300, 1300, 24, 6)
    ids = torch.arange(1300) // 3
    options = {"targets": targets, "row_group": ids.int(), "column_group": ids.flip(0)}
    got = value_and_gradients(x, y, None, None, 20.0, backend="fused", **options)
    expected = value_and_gradients(x.double(), y.double(), None, None, 20.0, backend="eager", **options)
    for mine, theirs in zip(got, expected, strict=True):
        assert relative_error(mine, theirs) < 1e-5


def test_targets_too_sharp_for_a_common_shift() -> None:
    """A row whose largest similarity lies hundreds below the bound must not lose its targets to underflow."""
    x, y, a, b = example(40, 30, 8, 5, torch.float32)
    options = {"label_scale": 400.0, "similarity": "dot"}
    got = value_and_gradients(x, y, a, b, 100.0, backend="fused", **options)
    expected = value_and_gradients(*(t.double() for t in (x, y, a, b)), 100.0, backend="eager", **options)
    for mine, theirs in zip(got, expected, strict=True):
        assert relative_error(mine, theirs) < 1e-4


def test_bfloat16_is_computed_in_single_precision() -> None:
    x, y, a, b = example(600, 500, 48, 14)
    half = [x.bfloat16(), y.bfloat16()]
    got = value_and_gradients(*half, a, b, 14.3, backend="fused")
    expected = value_and_gradients(half[0].double(), half[1].double(), a.double(), b.double(), 14.3, backend="eager")
    assert relative_error(got[0], expected[0]) < 1e-5
    assert got[2].dtype == torch.bfloat16
    assert relative_error(got[2], expected[2]) < 4e-3 and relative_error(got[3], expected[3]) < 4e-3


def test_inputs_that_are_not_contiguous() -> None:
    x, y, a, b = example(70, 90, 20, 14)
    expected = value_and_gradients(x, y, a, b, 14.3, backend="fused")
    wide = torch.cat([x, x], 1)[:, :20]
    got = value_and_gradients(wide, y.T.contiguous().T, a[:, :], b.T.contiguous().T, 14.3, backend="fused")
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("n", "m", "d"), [(1, 5, 3), (5, 1, 3), (4, 6, 1), (1, 1, 1)])
def test_inputs_stay_as_they_are(n: int, m: int, d: int) -> None:
    inputs = example(n, m, d, 1)
    before = [t.clone() for t in inputs]
    value_and_gradients(*inputs, 14.3, label_scale=3.0, backend="fused")
    assert all(torch.equal(p, q) for p, q in zip(inputs, before, strict=True))


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_visible(which: int, value: float) -> None:
    """A trainer stops at a loss that is not finite: the fused form must not hide one."""
    inputs = example(70, 90, 20, 14)
    inputs[which][5, 1] = value
    assert not soft_contrastive_loss(*inputs, 10.0, similarity="dot", backend="fused").isfinite()


def test_results_do_not_depend_on_threads_or_repetition() -> None:
    inputs = example(1100, 900, 64, 14)
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
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-9)


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
    loss = soft_contrastive_loss(x.requires_grad_(), y, a, b, 1.0)
    assert "soft_contrastive_forward" in str(loss.grad_fn), "built, covered: fused"
    none = torch.zeros(1, 1, dtype=torch.bool)
    ids = torch.zeros(4, dtype=torch.int64)
    plain = soft_contrastive_loss(x, y, a, b, 1.0, excluded=none, row_group=ids, column_group=ids)
    assert "soft_contrastive_forward" not in str(plain.grad_fn), "excluded pairs: eager"
    torch.testing.assert_close(plain, loss)
    monkeypatch.setattr(build, "load", lambda: False)
    assert "soft_contrastive_forward" not in str(soft_contrastive_loss(x, y, a, b, 1.0).grad_fn), "not built: eager"


@pytest.mark.parametrize("by", ["labels", "ids"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_operator_checks(by: str, dtype: torch.dtype) -> None:
    x, y, a, b = example(6, 9, 5, 3, dtype)
    ids = torch.arange(6), torch.arange(9)
    s = torch.tensor(2.0, dtype=dtype)
    targets = (a, b, None, None, 1.5) if by == "labels" else (None, None, *ids, 1.0)
    operators = torch.ops.mmclip
    *_, rows, columns = operators.soft_contrastive_forward(x, y, s, *targets)
    backward = (torch.ones((), dtype=dtype), x, y, s, *targets, rows, columns)
    torch.library.opcheck(operators.soft_contrastive_backward, backward)
    leaves = (x.requires_grad_(), y.requires_grad_(), s.requires_grad_())
    torch.library.opcheck(operators.soft_contrastive_forward, (*leaves, *targets))


def test_second_derivatives_are_refused() -> None:
    x, y, a, b = example(4, 4, 3, 2)
    x.requires_grad_()
    loss = soft_contrastive_loss(x, y, a, b, 1.0, backend="fused")
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="backend='eager'"):
        gradient.sum().backward()


def test_the_operator_checks_its_inputs() -> None:
    x, y, a, b = example(4, 5, 3, 2)
    s = torch.tensor(1.0)
    with pytest.raises(RuntimeError, match=r"must be \[N, D\] and \[M, D\]"):
        torch.ops.mmclip.soft_contrastive_forward(x, y[:, :2], s, a, b, None, None, 1.0)
    with pytest.raises(RuntimeError, match="targets come from a and b, or"):
        torch.ops.mmclip.soft_contrastive_forward(x, y, s, None, None, None, None, 1.0)
    with pytest.raises(RuntimeError, match=r"must be \[N, L\] and \[M, L\]"):
        torch.ops.mmclip.soft_contrastive_forward(x, y, s, b, a, None, None, 1.0)
