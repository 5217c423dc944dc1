"""The kernels on a GPU: right at every size, the same bits each time, on the caller's stream, without waiting."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmclip.ops import soft_contrastive_loss
from tests.gpu.cases import compare, problem

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("labels", ["none", "binary", "real"])
@pytest.mark.parametrize("n", [1, 2, 127, 129, 1000, 4096, 32768, 65536])
def test_sizes(n: int, labels: str, device: torch.device) -> None:
    compare(problem(n, n + 1 if n % 2 else n, labels=labels))


@pytest.mark.parametrize("scale", [0.0, 14.3, 55.0, 57.0, 100.0])
@pytest.mark.parametrize("excluded", [False, True])
def test_both_maximum_modes(scale: float, excluded: bool, device: torch.device) -> None:
    compare(problem(1000, 777, 96, "real", scale, excluded))


@pytest.mark.parametrize("depth", [1, 31, 64, 1024])
@pytest.mark.parametrize("width", [1, 16, 17, 64, 100])
def test_depths_and_widths(depth: int, width: int, device: torch.device) -> None:
    for labels in ("binary", "real"):
        compare(problem(300, 500, depth, labels, width=width))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types(dtype: torch.dtype, device: torch.device) -> None:
    compare(problem(3000, 2000, 128, "real", 100.0, excluded=True, dtype=dtype))


def test_the_same_bits_each_time(device: torch.device) -> None:
    given = problem(5000, 3000, labels="real")
    first = given.statistics()
    shifts = [part[:2] for part in first]
    gradients = given.gradient(*shifts)
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(first, given.statistics(), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(gradients, given.gradient(*shifts), strict=True))


def test_nothing_waits_for_the_device(device: torch.device) -> None:
    for dtype in (torch.bfloat16, torch.float32):
        given = problem(1000, 1000, labels="real", excluded=True, dtype=dtype)
        given.statistics()  # the first call may load modules
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            rows, columns = given.statistics()
            given.gradient(rows[:2], columns[:2])
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_the_callers_stream_is_used(device: torch.device) -> None:
    given = problem(2000, 2000)
    wanted = given.statistics()
    x = given.x.clone()
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        given.x.zero_()
        torch.cuda._sleep(200_000_000)  # work that another stream would not wait for
        given.x.copy_(x)
        found = given.statistics()
    stream.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_memory_beside_inputs_and_results_is_bounded(device: torch.device) -> None:
    given = problem(32768, 32768, labels="real")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    rows, columns = given.statistics()
    results = given.gradient(rows[:2], columns[:2])
    kept = sum(result.nbytes for result in (*results, rows, columns))
    assert torch.cuda.max_memory_allocated() - before - kept < 192 << 20


def test_the_public_loss_and_its_gradients(device: torch.device) -> None:
    given = problem(512, 512, labels="binary")
    found = []
    for backend in ("eager", "auto"):
        x, y = (t.float().requires_grad_() for t in (given.x, given.y))
        loss = soft_contrastive_loss(x, y, given.a, given.b, given.logit_scale, backend=backend)
        loss.backward()
        found.append((loss.detach(), x.grad, y.grad))
    for eager, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, eager, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck", "initcheck"])
def test_compute_sanitizer(tool: str, device: torch.device) -> None:
    program = shutil.which("compute-sanitizer")
    if program is None:
        pytest.skip("no compute-sanitizer")
    code = """
import torch
from mmclip.ops import fused
from tests.gpu.cases import problem
assert fused.ready()
for labels, scale in (("none", 30.0), ("binary", 100.0), ("real", 30.0)):
    given = problem(200, 333, 96, labels, scale, excluded=labels == "real")
    rows, columns = given.statistics()
    count = 1 if labels == "none" else 2
    given.gradient(rows[:count].contiguous(), columns[:count].contiguous())
torch.cuda.synchronize()
"""
    command = [
        program,
        "--tool",
        tool,
        "--error-exitcode",
        "9",
        "--kernel-regex",
        "kns=mmclip",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
