"""The benchmark of pixels, on small films: every way runs, gives the same pictures, and is judged as it says."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mmclip.config.imaging import PackSettings

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "input.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script as a module, with films of a twentieth of their area."""
    spec = importlib.util.spec_from_file_location("benchmark_input", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    sizes = {"HEIGHT": 640, "WIDTH": 512, "PACKED": 96, "TRAINED": 84, "BATCH": 16, "SETTINGS": PackSettings(size=96)}
    for name, value in sizes.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "write_pack", functools.partial(module.write_pack, rows=32))
    yield module


def test_every_way_runs_and_gives_the_same_pictures(benchmark: ModuleType, tmp_path: Path) -> None:
    files = benchmark.make_files(tmp_path, 2)
    found = benchmark.measure(files, tmp_path, 1)
    assert set(found["ratios"]) == set(benchmark.REQUIRED)
    assert all(rate > 0 for rate in found["rates"].values())
    assert found["error"] < benchmark.LARGEST_ERROR and found["lossless_difference"] <= 1
    ours, pil = (way(files, tmp_path).astype(int) for way in (benchmark.pack_ours, benchmark.pack_pil))
    assert ours.shape == pil.shape == (2, 96, 96) and np.abs(ours - pil).mean() < 2
    for mode, channels in (("RGB", 3), ("L", 1)):
        assert benchmark.small_jpegs(files, benchmark.v2_augmentation(), mode).shape == (2, channels, 84, 84)


def test_the_ways_of_reading_dicom_agree(benchmark: ModuleType, tmp_path: Path) -> None:
    files = benchmark.make_files(tmp_path, 2)
    raw, lossless = np.stack(benchmark.ours_dicom(files.raw)), np.stack(benchmark.ours_dicom(files.lossless))
    assert np.array_equal(raw, lossless)
    usual = np.stack(benchmark.pydicom_dicom(files.raw, floats=True))
    assert np.abs(raw.astype(int) - usual).mean() < 2


GOOD: dict[str, Any] = {
    "ratios": {
        "read packed / 256-px JPEG + torchvision v2": 12.0,
        "read packed / full JPEG + torchvision v2": 150.0,
        "pack JPEG / the same through PIL": 1.6,
        "raw DICOM / pydicom + float + PIL": 2.0,
        "JPEG-lossless DICOM / pydicom's default": 2.5,
    },
    "rates": {"read packed": 6000.0},
    "error": 0.19,
    "growth_mib": 10.0,
    "lossless_difference": 1,
}


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, []),
        (
            {"ratios": {**GOOD["ratios"], "pack JPEG / the same through PIL": 1.59}},
            ["pack JPEG / the same through PIL"],
        ),
        ({"error": 0.21, "growth_mib": 17.0}, ["error", "memory"]),
        ({"lossless_difference": 2}, ["lossless DICOM differs from pydicom's"]),
        ({"rates": {"read packed": 5999.0}}, ["rate of reading"]),
    ],
)
def test_what_is_required(benchmark: ModuleType, change: dict[str, Any], failed: list[str]) -> None:
    assert benchmark.failures({**GOOD, **change}, idle=True) == failed
    assert benchmark.failures({**GOOD, **change}, idle=False) == [name for name in failed if name != "rate of reading"]


@pytest.mark.parametrize("least", [0.0, 1e9])
def test_the_command(
    benchmark: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    least: float,
) -> None:
    monkeypatch.setattr(benchmark, "REQUIRED", dict.fromkeys(benchmark.REQUIRED, least))
    monkeypatch.setattr(benchmark, "LARGEST_GROWTH", 1e9)  # of a process that has run other tests
    output = tmp_path / "found.json"
    monkeypatch.setattr(sys, "argv", ["input", "--films", "2", "--rounds", "1", "--check", "--json", str(output)])
    if least:
        with pytest.raises(SystemExit, match=r"not reached: .*raw DICOM / pydicom"):
            benchmark.main()
    else:
        benchmark.main()
    assert set(json.loads(output.read_text())["ratios"]) == set(benchmark.REQUIRED)
    assert "an estimate from published rates" in capsys.readouterr().out
