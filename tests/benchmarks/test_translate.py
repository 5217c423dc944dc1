"""The arithmetic of the translation benchmark, and that its rows run, on a model of a few thousand weights."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "translate.py"


@pytest.fixture
def translate() -> Iterator[ModuleType]:
    """The script as a module, with a tiny model."""
    spec = importlib.util.spec_from_file_location("benchmark_translate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for name, value in {"PIECES": 400, "KEPT": 100, "WIDTH": 16, "LAYERS": 1, "INNER": 16, "HEADS": 2}.items():
        setattr(module, name, value)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three reports of two sentences each, of which one is always the same."""
    (tmp_path / "iu_reports").mkdir()
    rows = [f"{number},No effusion.,Nodule of {number} mm in the left lung." for number in range(1, 4)]
    (tmp_path / "iu_reports" / "iu_reports_gold.csv").write_text("\n".join(["id,findings,impression", *rows]) + "\n")
    return tmp_path


def test_tokens_of_a_corpus(translate: ModuleType, folder: Path) -> None:
    corpus = translate.read_corpus(folder, 4)
    short, long = (
        1.25 * (round(size / 4) + 2) for size in (len("No effusion."), len("Nodule of 1 mm in the left lung."))
    )
    assert corpus.written == short + long
    assert corpus.sentences == 2
    assert corpus.distinct == pytest.approx((short + 3 * long) / (3 * (short + long)))
    assert [len(job.tokens) for job in corpus.jobs] == [10, 10, 10, 5]
    assert [job.written for job in corpus.jobs] == [20, 20, 20, 10], "of the rounded length: 16 and 8"


def test_hours(translate: ModuleType, folder: Path) -> None:
    corpus = translate.read_corpus(folder, 2)
    rows = {
        name: {"sentences": 2, "tokens": tokens, "wall": 1.0, "cpu": 2.0}
        for name, tokens in ((translate.BASELINE, 10), ("together", 40))
    }
    found = {row["name"]: row for row in translate.summarise(corpus, rows)["rows"]}
    hours = 216_000 * 20 * corpus.written / 10 / 3600
    assert found[translate.BASELINE]["hours"] == pytest.approx(hours)
    assert found["together"]["times_faster"] == pytest.approx(4)
    *_, last = found.values()
    assert last["times_faster"] == pytest.approx(4 / corpus.distinct)


def test_every_row_runs(translate: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCLIP_REAL_DATA", str(folder))
    output = folder / "out.json"
    monkeypatch.setattr(
        sys, "argv", ["translate", "--sentences", "4", "--single", "2", "--rounds", "1", "--json", str(output)]
    )
    assert translate.main() == 0
    rows = json.loads(output.read_text())["rows"]
    assert len(rows) == 11
    assert all(row["hours"] > 0 and row["tokens_per_second"] > 0 for row in rows)
