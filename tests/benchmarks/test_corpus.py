"""The benchmark of the texts' memory: its corpus is as it says, and its predictions lie on the line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from mmclip.config.training import Tokenizer
from mmclip.languages import LANGUAGES
from mmclip.training.tokenizer import train_tokenizer

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "corpus.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_corpus", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_predictions_lie_on_the_line_through_both_sizes(benchmark: ModuleType) -> None:
    small, large = (
        {"reports": reports, "peak": 5e8 + 20_000 * reports, "stays": 10_000.0 * reports, "seconds": reports / 100}
        for reports in (2000, 8000)
    )
    found = benchmark.slopes(small, large)
    assert found["peak_a_report"] == pytest.approx(20_000) and found["stays_a_report"] == pytest.approx(10_000)
    assert found["peak_predicted"] == pytest.approx(0.5 + 216_000 * 20_000 / 1e9)
    assert found["stays_predicted"] == pytest.approx(2.16) and found["seconds_predicted"] == pytest.approx(2160)
    assert benchmark.failures({"align": found}) == []
    worse = found | {"peak_predicted": benchmark.BOUNDS["peak"] + 0.1}
    assert benchmark.failures({"text": worse}) == ["text: peak 6.1 GB > 6.0 GB"]


def test_a_corpus_is_as_large_as_it_says(benchmark: ModuleType, tmp_path: Path) -> None:
    benchmark.write_corpus(tmp_path / "made", 60)
    files = sorted((tmp_path / "made").glob("*/*.parquet"))
    assert {file.parent.name for file in files} == set(LANGUAGES)
    every = pl.concat([pl.read_parquet(file) for file in files])["sentences"].explode()
    assert len(every) == 60 * 8 * 21 and every.str.len_bytes().mean() == pytest.approx(120, rel=0.15)
    assert every.n_unique() / len(every) == pytest.approx(0.39, abs=0.01)
    train_tokenizer(every.unique().to_list(), Tokenizer(vocabulary=1000)).save_pretrained(tmp_path / "tokenizer")
    for kind in benchmark.KINDS:
        found = benchmark.measure(tmp_path / "made", kind, tmp_path / "tokenizer")
        share = 1.0 if kind == "align" else 0.39
        assert found["sentences"] == pytest.approx(60 * 8 * 21 * share, rel=0.01)
        assert found["stays"] > 4 * found["tokens"] and found["seconds"] > 0
