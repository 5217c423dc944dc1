"""The arithmetic of the translation benchmark, and that its rows run, on a model of a few thousand weights."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "translate.py"


@pytest.fixture
def translate() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("benchmark_translate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
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
    corpus = translate.read_corpus(folder, 4, kept=100)
    short, long = (
        1.25 * (round(size / 4) + 2) for size in (len("No effusion."), len("Nodule of 1 mm in the left lung."))
    )
    assert corpus.written == short + long
    assert corpus.sentences == 2
    assert corpus.distinct == pytest.approx((short + 3 * long) / (3 * (short + long)))
    assert corpus.distinct_sentences == pytest.approx(4 / 6)
    assert corpus.distinct_words == pytest.approx((2 + 3 * 8) / (3 * (2 + 8)))
    assert [len(job.tokens) for job in corpus.jobs] == [10, 10, 10, 5]
    assert [job.written for job in corpus.jobs] == [12, 12, 12, 6]


def test_a_sample_is_of_groups_of_about_one_length(translate: ModuleType) -> None:
    by_length = [f"{number:04}" for number in range(1000)]
    found = [int(text) for text in translate._groups(by_length, 40, random.Random(0))]
    groups = [found[start : start + translate.GROUP] for start in range(0, 40, translate.GROUP)]
    assert [len(group) for group in groups] == [12, 12, 12, 4]
    for part, group in enumerate(groups):
        assert group == list(range(group[0], group[0] + len(group)))
        assert 250 * part <= group[0] and group[-1] < 250 * (part + 1)
    assert len(translate._groups(by_length[:5], 40, random.Random(0))) == 5


def test_hours(translate: ModuleType, folder: Path) -> None:
    corpus = translate.read_corpus(folder, 2, kept=100)
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


@pytest.mark.parametrize("required, status", [(1e-9, 0), (1e9, 1)])
def test_every_row_runs(
    translate: ModuleType,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    required: float,
    status: int,
) -> None:
    monkeypatch.setenv("MMCLIP_REAL_DATA", str(folder))
    monkeypatch.setattr(translate, "REQUIRED", required)
    output = folder / "out.json"
    options = ["--small", "--sentences", "2", "--single", "1", "--rounds", "1", "--check", "--json", str(output)]
    monkeypatch.setattr(sys, "argv", ["translate", *options])
    assert translate.main() == status
    found = json.loads(output.read_text())
    assert found["model"] == "small"
    assert len(found["rows"]) == 11
    assert all(row["hours"] > 0 and row["tokens_per_second"] > 0 for row in found["rows"])
    printed = capsys.readouterr().out
    assert "one A100: about" in printed and "An estimate, not measured" in printed
    assert ("is stated" in printed) == bool(status)
