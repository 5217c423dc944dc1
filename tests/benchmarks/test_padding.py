"""The benchmark of length buckets counts what a step holds."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from mmclip.config.training import DataSettings
from tests.data.test_alignment import make

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_positions_are_those_of_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    positions = importlib.import_module("padding").positions
    found = {number: positions(make(data=DataSettings(length_buckets=number)), 8) for number in (1, 4)}
    assert found[1]["tokens"] == found[4]["tokens"], "over two windows the same texts"
    batches = [make(data=DataSettings())(step) for step in range(8)]
    assert found[1]["block"] == round(sum(batch.input_ids.numel() for batch in batches) / 64, 2)
    for one in found.values():
        assert one["distinct"] <= one["tokens"] <= one["block"] and one["distinct"] <= one["groups"] <= one["block"]
    assert found[4]["block"] < found[1]["block"]
