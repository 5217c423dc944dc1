"""The prediction of the CUDA loss's times: its arithmetic, and that every figure says what it is."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "roofline.py"


@pytest.fixture
def roofline(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("benchmark_roofline", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    yield module


@pytest.fixture
def resources(roofline: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(roofline.RESOURCES.read_text())
    return found


def test_a_units_cycles_are_counted_instructions_times_their_cost(roofline: ModuleType) -> None:
    counts = dict.fromkeys(("HMMA", "instructions", "MUFU", "LDSM", "LDGSTS", "LDS", "STS"), 0)
    kernel = roofline.Kernel({**counts, "LDS": 3}, {**counts, "HMMA": 64, "LDSM": 5}, {**counts, "MUFU": 10})
    assert kernel.count("HMMA", 512) == 64 * 4 and kernel.count("MUFU", 512) == 10
    cycles = roofline.tile_cycles(kernel, "sm_80", 512)
    assert cycles.tensor == 2 * 256 * 8  # two warps a scheduler, 8 cycles a product
    assert cycles.exponential == 2 * 10 * 8  # 32 lanes by 4 a cycle
    assert cycles.shared == 8 * (512 * 20 + 128 * 3) / 128
    assert (cycles.bound, cycles.bounded_by) == (cycles.tensor, "tensor")


def test_four_products_at_peak_are_known(roofline: ModuleType, resources: dict[str, Any]) -> None:
    (chip,) = [chip for chip in roofline.CHIPS if chip.name == "A100-80"]
    assert 2 * chip.peak == pytest.approx(312e12, rel=0.01)  # operations a second by the data sheet
    row = roofline.predict(chip, resources, 32768, 512)
    assert row["products_ms"] == pytest.approx(8 * 32768**2 * 512 / 312e12 * 1e3, rel=0.01)
    assert row["total_ms"] == row["statistics_ms"] + row["gradient_ms"] + row["library_ms"]
    assert row["products_ms"] < row["total_ms"] < row["eager_ms"]


def test_times_grow_with_the_square_of_the_batch(roofline: ModuleType, resources: dict[str, Any]) -> None:
    for chip in roofline.CHIPS:
        small, large = (roofline.predict(chip, resources, size, 512)["total_ms"] for size in (16384, 32768))
        assert large / small == pytest.approx(4, rel=0.02)


def test_the_command_says_of_every_line_that_it_is_predicted(
    roofline: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "found.json"
    assert roofline.main(["--sizes", "128", "1000", "--depth", "128", "--json", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == 2 * len(roofline.CHIPS) and all(roofline.WORDS in line for line in lines)
    found = json.loads(output.read_text())
    assert found["figures"] == roofline.WORDS
    assert [row["size"] for row in found["rows"]] == [128, 1000] * len(roofline.CHIPS)
