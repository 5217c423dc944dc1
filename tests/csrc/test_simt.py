"""The CUDA kernels and their host side, executed without a GPU, against the operators' definition in float64."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmclip.ops import blocks, fused
from mmclip.ops.pairs import Pairs
from tests.conftest import require
from tests.csrc import emulated

Argument = Tensor | bool | float | None
FORWARD, SHUFFLED, BACKWARD = range(3)
WORKSPACE = 128 << 20


@dataclass(frozen=True)
class Case:
    """One call of both operators."""

    n: int
    m: int
    d: int
    labels: int = 0
    binary: bool = True
    cosine: bool = True
    scale: float = 14.3
    label_scale: float = 8.0
    excluded: bool = False
    dtype: torch.dtype = torch.bfloat16
    schedule: int = FORWARD
    workspace: int = WORKSPACE

    def __str__(self) -> str:
        default = Case(0, 0, 0)
        fields = ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        return "-".join(f"{name}={value}" for name, value in fields if value != getattr(default, name))


@pytest.fixture(scope="module")
def ops() -> object:
    require("compiler")
    torch.ops.load_library(str(emulated.library()))
    return torch.ops.mmclip_emulated


def arguments(case: Case) -> list[Argument]:
    """Random arguments of the operators, up to the groups and the relation between them."""
    generator = torch.Generator().manual_seed(
        hash(dataclasses.astuple(dataclasses.replace(case, dtype=torch.float))[:3])
    )

    def rows(count: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(count, case.d, generator=generator), dim=1).to(case.dtype)

    def labels(count: int) -> Tensor | None:
        if case.labels == 0:
            return None
        out = torch.randn(count, case.labels, generator=generator)
        out = (out > 0.8).to(torch.uint8) if case.binary else out
        out[0] = 0
        return out

    groups: list[Tensor | None] = [None, None, None]
    if case.excluded:
        relation = torch.rand(5, 5, generator=generator) < 0.3
        relation[1] = True  # a row of group 1 has no pair at all
        groups = [torch.randint(5, (size,), generator=generator) for size in (case.n, case.m)] + [relation]
    x, y, scale = rows(case.n), rows(case.m), torch.tensor(case.scale)
    return [x, y, scale, labels(case.n), labels(case.m), case.cosine, case.label_scale, *groups]


def double(values: list[Argument]) -> list[Argument]:
    return [value.double() if isinstance(value, Tensor) and value.is_floating_point() else value for value in values]


def meaning(statistics: Tensor) -> Tensor:
    """What does not depend on the peaks: log-sum-exps and the mean of S under the targets; 0 where all is left out."""
    peaks, sums = statistics[0::2][: len(statistics) // 2].double(), statistics[1::2].double()
    out = list(peaks + sums.log())
    if len(statistics) > 2:
        out.append(statistics[4].double() / statistics[3].double())
    return torch.where(statistics[1] == 0, 0, torch.stack(out))


def check(ops: object, case: Case) -> tuple[Tensor, ...]:
    """Run both operators and compare them with the definition; returns their results."""
    given = arguments(case)
    ops.configure(case.schedule, case.workspace)
    results = ops.statistics(*given)
    wanted = blocks.statistics(Pairs(*double(given)))
    # bfloat16 targets err by 3 / 2^18 of the norms' product, where the labels are not 0/1; S by a few ulp of 100.
    targets = 0.0 if case.binary or not case.labels else case.label_scale * 3 / 2**18
    if not case.cosine:
        targets *= max(given[3].float().norm(dim=1).max() * given[4].float().norm(dim=1).max(), 1.0)
    exact = case.dtype == torch.float64
    for got, want in zip(results, wanted, strict=True):
        assert got.shape == want.shape and got.dtype == (torch.float64 if exact else torch.float32)
        empty = want[1] == 0
        assert torch.equal(got[1] == 0, empty) and torch.equal(got[0] < 0.9 * blocks.LEFT_OUT, empty)
        tolerance = 1e-11 if exact else 3e-5 + targets * (2 + 2 * case.scale)
        torch.testing.assert_close(meaning(got), meaning(want), rtol=1e-6, atol=tolerance)

    weights = [torch.where(part[1] > 0, 0.5 / part.shape[1], 0.0) for part in wanted]
    shifts = [fused.shifts(part, weight) for part, weight in zip(wanted, weights, strict=True)]
    gradients = ops.gradient(*given, *(shift.to(results[0].dtype) for shift in shifts))
    exact_gradients = blocks.gradient(Pairs(*double(given)), *shifts)
    for got, want in zip(gradients, exact_gradients, strict=True):
        limit = 1e-12 if exact else 4e-3 if case.dtype == torch.bfloat16 else 2e-5
        error = (got.double() - want).norm() / max(want.norm().item(), 1e-3)
        assert error < limit + 2 * targets, f"relative error {error:.1e}"
    return (*results, *gradients)


CASES = [
    Case(128, 128, 64, labels=14),
    Case(128, 256, 512),
    Case(200, 328, 96, labels=14, binary=False),
    Case(200, 136, 96, labels=14, scale=100),
    Case(200, 136, 96, labels=14, scale=100, binary=False, excluded=True),
    Case(129, 127, 33, scale=100, excluded=True),
    Case(1, 1, 1, labels=1),
    Case(2, 3, 4, labels=3, scale=0),
    Case(31, 127, 70, labels=64, binary=False),
    Case(130, 50, 160, labels=17, cosine=False, label_scale=0.5),
    Case(130, 50, 160, labels=33, cosine=False, label_scale=3, binary=False, excluded=True),
    Case(40, 50, 32, labels=128),
    Case(40, 50, 32, labels=129),
    Case(40, 50, 32, labels=65, binary=False),
    *(
        Case(257, 131, 40, labels=14, binary=False, excluded=True, schedule=s, scale=30, workspace=1 << 12)
        for s in range(3)
    ),
    *(Case(150, 90, 64, labels=14, schedule=s, scale=100) for s in (SHUFFLED, BACKWARD)),
    *(Case(70, 99, 20, labels=14, dtype=t, workspace=1 << 14) for t in (torch.float32, torch.float64)),
    *(Case(70, 99, 20, dtype=t, excluded=True, scale=100) for t in (torch.float32, torch.float64)),
    Case(33, 65, 8, labels=3, binary=False, excluded=True, dtype=torch.float64, schedule=SHUFFLED),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operators_agree_with_the_definition(case: Case, ops: object) -> None:
    check(ops, case)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 100.0])
@pytest.mark.parametrize("labels", [0, 1, 15, 16, 17, 32, 48, 64])
def test_sweep(labels: int, scale: float, ops: object) -> None:
    sizes = itertools.cycle([(1, 2, 1), (31, 129, 31), (127, 1, 64), (255, 257, 200), (384, 130, 1024)])
    for binary, excluded, schedule in itertools.product((True, False), (False, True), range(3)):
        n, m, d = next(sizes)
        check(ops, Case(n, m, d, labels, binary, scale=scale, label_scale=30.0, excluded=excluded, schedule=schedule))


def test_results_do_not_depend_on_the_order_of_threads(ops: object) -> None:
    case = Case(140, 150, 64, labels=14, binary=False, scale=40)
    first, *others = [check(ops, dataclasses.replace(case, schedule=schedule)) for schedule in range(3)]
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_chunks_do_not_change_the_meaning(dtype: torch.dtype, ops: object) -> None:
    case = Case(300, 290, 32, labels=5, dtype=dtype)
    whole, cut = (check(ops, dataclasses.replace(case, workspace=size)) for size in (WORKSPACE, 1 << 15))
    for a, b in zip(whole[:2], cut[:2], strict=True):
        torch.testing.assert_close(meaning(a), meaning(b), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_shows(value: float, dtype: torch.dtype, ops: object) -> None:
    given = arguments(Case(140, 130, 32, labels=4, dtype=dtype))
    given[0][7, 3] = value
    ops.configure(FORWARD, WORKSPACE)
    rows, columns = ops.statistics(*given)
    assert meaning(rows)[0, 7].isnan() and meaning(rows)[0, :7].isfinite().all()
    assert not meaning(columns)[0].isfinite().all()
    shifts = [fused.shifts(part, torch.ones(part.shape[1])) for part in (rows, columns)]
    assert all(gradient.isnan().any() for gradient in ops.gradient(*given, *shifts))


def test_labels_are_exact_where_they_are_0_and_1(ops: object) -> None:
    """A target of 30 times a count is exact to rounding, far below the error of a split."""
    given = arguments(Case(64, 64, 32, labels=128, cosine=False, label_scale=1.0))
    ops.configure(FORWARD, WORKSPACE)
    rows, _ = ops.statistics(*given)
    targets = given[3].double() @ given[4].double().T
    torch.testing.assert_close(meaning(rows)[1], targets.logsumexp(1), rtol=0, atol=1e-5)


def test_real_labels_err_by_less_than_a_thousandth(ops: object) -> None:
    """Against one column the log-sum-exp of a row's targets is the target itself."""
    given = arguments(Case(128, 1, 32, labels=64, binary=False, label_scale=30.0))
    given[4][0] = given[3][5]  # the worst case is a cosine of 1
    ops.configure(FORWARD, WORKSPACE)
    rows, _ = ops.statistics(*given)
    targets = 30 * torch.nn.functional.cosine_similarity(given[3].double(), given[4].double())
    torch.testing.assert_close(meaning(rows)[1], targets, rtol=0, atol=1e-3)


def test_views_and_other_label_types_are_taken(ops: object) -> None:
    given = arguments(Case(40, 50, 33, labels=6))
    ops.configure(FORWARD, WORKSPACE)
    wanted = ops.statistics(*given)
    changed = list(given)
    changed[0] = given[0].T.contiguous().T
    changed[1] = torch.cat([given[1][:1], given[1]])[1:]
    changed[3], changed[4] = given[3].bool(), given[4].bool()
    assert all(torch.equal(a, b) for a, b in zip(ops.statistics(*changed), wanted, strict=True))
    changed[3], changed[4] = given[3].to(torch.float64), given[4].to(torch.float64)
    for a, b in zip(ops.statistics(*changed), wanted, strict=True):
        torch.testing.assert_close(meaning(a), meaning(b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (0, torch.zeros(0, 8, dtype=torch.bfloat16), "must not be empty"),
        (0, torch.zeros(4, 7, dtype=torch.bfloat16), r"must be \[N, D\] and \[M, D\]"),
        (1, torch.zeros(4, 8), "must be of one type"),
        (2, torch.zeros(2), "must be one number"),
        (3, None, "a and b are given together"),
        (3, torch.zeros(9, 3), r"must be \[N, L\] and \[M, L\]"),
        (3, torch.full((4, 3), 256), "must be of a floating type, uint8 or bool"),
        (7, torch.zeros(3, dtype=torch.int64), "given together"),
    ],
)
def test_wrong_arguments_are_refused(index: int, value: Tensor | None, message: str, ops: object) -> None:
    given = arguments(Case(4, 4, 8, labels=3))
    given[index] = value
    with pytest.raises(RuntimeError, match=message):
        ops.statistics(*given)


@pytest.fixture(scope="module")
def selftest() -> Path:
    require("compiler")
    return emulated.selftest()


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ("missing lane", "deadlock"),
        ("missing thread", "deadlock"),
        ("misaligned copy", "misaligned copy"),
        ("misaligned matrix", "misaligned address"),
        ("outside", "outside shared memory"),
    ],
)
def test_the_emulator_stops_at_a_fault(kernel: str, said: str, selftest: Path) -> None:
    for schedule in ("0", "1", "2"):
        out = subprocess.run([selftest, kernel, schedule], capture_output=True, text=True, check=True).stdout
        assert said in out


@pytest.mark.parametrize("kernel", ["right", "no commit", "no wait", "no barrier"])
def test_the_emulator_shows_what_is_not_waited_for(kernel: str, selftest: Path) -> None:
    wrong = [
        int(subprocess.run([selftest, kernel, str(s)], capture_output=True, text=True, check=True).stdout.split()[0])
        for s in range(3)
    ]
    assert (max(wrong) > 0) == (kernel != "right"), wrong
