"""The kernels as nvcc compiles them, executed by the interpreter with its checks, against the definition in float64.

A race, a read of bytes still being copied, an address outside its buffer, a barrier that some thread misses: each ends
the test with the name of the check. What is not seen here: ptxas, the chip's own errors, speed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.csrc.ptx import chunks
from tests.csrc.ptx.compile import kernels
from tests.csrc.ptx.device import Device
from tests.csrc.ptx.numbers import Array
from tests.csrc.ptx.reference import Problem, definition, gradient, rounded, summarise

pytestmark = pytest.mark.needs("nvcc")
ARCHITECTURES = ("sm_80", "sm_90")
_STATIC, _MAXIMUM = 14.3, 100.0
"""Logit scales: below and above what exponentials of unit vectors stand without a maximum."""
_SMALLEST = 2.0**-126
"""The smallest normal number of single precision: exponentials below it are 0 (`ex2.approx.ftz` of the PTX ISA)."""


def unit_vectors(rng: np.random.Generator, count: int, depth: int) -> Array:
    """Rows of norm about 1, exact in bfloat16."""
    values = rng.standard_normal((count, depth))
    return rounded(values / np.linalg.norm(values, axis=1, keepdims=True))


def problem(
    rows: int,
    columns: int,
    depth: int,
    logit_scale: float,
    labels: str = "none",
    width: int = 14,
    excluded: bool = False,
) -> Problem:
    """A problem by its sizes. Labels: none; 0/1 ("bits") or real by the cosine, one row empty; "dot": 0/1.

    With `excluded`, pairs of equal groups are left out, and group 0, whose only row is row 0, with every group.
    """
    rng = np.random.default_rng(rows + 1000 * columns + depth)
    made = Problem(unit_vectors(rng, rows, depth), unit_vectors(rng, columns, depth), logit_scale)
    if labels != "none":
        a, b = (rng.random((count, width)) for count in (rows, columns))
        if labels != "real":
            a, b = ((side < 0.3).astype(np.uint8) for side in (a, b))
        a[-1] = 0
        made = replace(made, a=a, b=b, cosine=labels != "dot", label_scale=0.5 if labels == "dot" else 30.0)
    if excluded:
        row_group, column_group = rng.integers(1, 7, rows), rng.integers(1, 7, columns)
        row_group[0] = 0
        relation = np.eye(7, dtype=bool)
        relation[0] = True
        made = replace(made, row_group=row_group, column_group=column_group, excluded=relation)
    return made


def check_statistics(given: Problem, rows: Array, columns: Array, exact: bool) -> None:
    """Both sides against the definition. T of real labels in two bfloat16 parts is off by 1e-3 at most."""
    slack = 1e-3 if given.a is not None and given.a.dtype != np.uint8 and not exact else 1e-5
    scale = max(1.0, abs(given.logit_scale))
    for axis, statistics in ((1, rows), (0, columns)):
        got, expected = summarise(statistics), definition(given, axis)
        np.testing.assert_allclose(got.logits, expected.logits, rtol=0, atol=1e-6 * scale)
        assert (statistics[0][np.isneginf(expected.logits)] == np.float32(-1e30)).all()
        if expected.targets is not None and expected.alignment is not None:
            assert got.targets is not None and got.alignment is not None
            np.testing.assert_allclose(got.targets, expected.targets, rtol=0, atol=slack)
            np.testing.assert_allclose(got.alignment, expected.alignment, rtol=0, atol=2 * slack * scale)


def shifts(given: Problem, axis: int) -> Array:
    """The shifts of the gradient [2 or 1, lines], every line weighing alike; the last line has no weight."""
    summary = definition(given, axis)
    lines = len(summary.logits)
    terms = [summary.logits] if summary.targets is None else [summary.logits, summary.targets]
    made = np.stack([np.where(np.isneginf(term), 1e30, term + np.log(2 * lines)) for term in terms])
    if lines > 1:
        made[:, -1] = 1e30
    return made


def check_gradient(given: Problem, got: Array, row_shift: Array, column_shift: Array, rounding: float) -> None:
    """G up to `rounding` and what its exponents are off, relative to its four terms; each term may be flushed to 0."""
    expected, size = gradient(given, row_shift, column_shift)
    slack = 3e-3 if given.a is not None and given.a.dtype != np.uint8 and rounding > 1e-5 else 3e-5
    assert np.isfinite(got).all()
    assert (np.abs(got - expected) <= rounding * np.abs(expected) + slack * size + 4 * _SMALLEST).all()


SMALL = {
    "one pair": problem(1, 1, 1, _STATIC),
    "one row": problem(1, 130, 33, _STATIC, "bits"),
    "ragged": problem(200, 136, 96, _STATIC),
    "ragged, maximum": problem(131, 129, 160, _MAXIMUM),
    "whole tiles, maximum": problem(128, 128, 64, _MAXIMUM, "bits"),
    "logits of 100 and -100": problem(131, 60, 1, _MAXIMUM, "bits"),
    "0/1 labels": problem(130, 257, 32, _STATIC, "bits"),
    "0/1 labels, three steps, maximum": problem(129, 127, 64, _MAXIMUM, "bits", width=37),
    "0/1 labels, products": problem(127, 130, 64, _STATIC, "dot", width=64),
    "real labels": problem(65, 140, 96, _STATIC, "real"),
    "real labels, maximum": problem(140, 65, 32, _MAXIMUM, "real", width=17),
    "excluded": problem(132, 130, 64, _STATIC, excluded=True),
    "excluded, labels, maximum": problem(130, 132, 64, _MAXIMUM, "bits", excluded=True),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", SMALL)
def test_tiles(architecture: str, name: str) -> None:
    """Design B: statistics and gradient, every instruction checked, no bank conflict anywhere."""
    run_tiles(architecture, SMALL[name])


def run_tiles(architecture: str, given: Problem) -> None:
    device = Device(kernels(architecture))
    check_statistics(given, *device.statistics(given), exact=False)
    row_shift, column_shift = shifts(given, 1), shifts(given, 0)
    check_gradient(given, device.gradient(given, row_shift, column_shift), row_shift, column_shift, 2.0**-8)
    tile_kernels = [name for name in device.counts if "statistics" in name or "gradient" in name]
    conflicts = {name: device.counts[name].conflicts for name in tile_kernels}
    assert len(conflicts) == 2 and not any(conflicts.values())


def test_statistics_of_chunks_merge() -> None:
    given = problem(300, 70, 32, _STATIC, "bits", excluded=True)
    device = Device(kernels("sm_80"))
    check_statistics(given, *device.statistics(given, chunk=128), exact=False)


CHUNKS = {
    "one pair": problem(1, 1, 1, _STATIC),
    "more columns than threads": problem(5, 300, 8, _MAXIMUM),
    "0/1 labels": problem(40, 33, 8, _STATIC, "bits"),
    "real labels": problem(11, 40, 8, _STATIC, "real"),
    "excluded, labels": problem(14, 37, 8, _MAXIMUM, "bits", excluded=True),
}


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(kind: str, name: str) -> None:
    """Design A, in two chunks of rows."""
    given, device = CHUNKS[name], Device(kernels("sm_80"))
    rows, columns = chunks.statistics(device, given, kind, chunk=max(1, 2 * len(given.x) // 3))
    check_statistics(given, rows, columns, exact=True)
    row_shift, column_shift = shifts(given, 1), shifts(given, 0)
    got = chunks.gradient(device, given, kind, row_shift, column_shift)
    check_gradient(given, got, row_shift, column_shift, 1e-5 if kind == "f32" else 1e-12)


def test_the_work_is_what_the_algebra_asks() -> None:
    """Per tile of 128 x 128: 8 warps, 16 products of 16 x 8 x 16 for each 16 columns; exponentials as documented."""
    given = problem(128, 128, 64, _STATIC, "bits")
    device = Device(kernels("sm_80"))
    device.statistics(given)
    device.gradient(given, shifts(given, 1), shifts(given, 0))
    product = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
    for name in ("mmclip_statistics_labels", "mmclip_gradient_labels"):
        executed = device.counts[name].instructions
        assert executed[product] == 8 * 16 * (64 // 16 + 1)
        assert executed["ldmatrix.sync.aligned.m8n8.x4.shared.b16"] == 8 * (6 * 64 // 16 + 4 * 3)
        entries = 128 * 128 // 32
        assert 2 * entries <= executed["ex2.approx.ftz.f32"] <= 2 * entries + 8 * 4


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_stays_so(value: float) -> None:
    """One bad entry of x: its row is NaN, so are columns where the definition says so, other rows are as before."""
    given = problem(130, 140, 32, _STATIC, "bits")
    x = given.x.copy()
    x[5, 3] = value
    broken = replace(given, x=x)
    rows, columns = Device(kernels("sm_80")).statistics(broken)
    got = [summarise(rows), summarise(columns)]
    with np.errstate(invalid="ignore", over="ignore"):
        expected = definition(broken, 0)
    assert np.flatnonzero(~np.isfinite(got[0].logits)).tolist() == [5]
    np.testing.assert_array_equal(np.isfinite(got[1].logits), np.isfinite(expected.logits))
    assert not np.isfinite(got[1].logits).all()
    others = np.delete(np.arange(130), 5)
    np.testing.assert_allclose(got[0].logits[others], definition(given, 1).logits[others], rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("labels", ["none", "bits", "real"])
@pytest.mark.parametrize("logit_scale", [0.0, 1.0, 56.5, _MAXIMUM])
@pytest.mark.parametrize("excluded", [False, True])
def test_tiles_over_many_sizes(architecture: str, labels: str, logit_scale: float, excluded: bool) -> None:
    rng = np.random.default_rng(int(logit_scale) + 7 * excluded)
    for width in (1, 16, 64 if labels == "real" else 128):
        rows, columns, depth = (int(rng.integers(1, most)) for most in (300, 300, 260))
        run_tiles(architecture, problem(rows, columns, depth, logit_scale, labels, width, excluded))
        if labels == "none":
            return
