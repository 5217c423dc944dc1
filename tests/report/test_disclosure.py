"""Restricted data: nothing of it in the page that may be shown, and no count that is small or can be worked out."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.report import ReportSettings
from mmclip.data.thumbnail import data_uri
from mmclip.report.disclosure import Disclosure, read_disclosure
from mmclip.report.examples import EDGE
from mmclip.report.run import Run
from mmclip.report.stage import INTERNAL, STRIP_EDGE, report
from mmclip.tables.evaluation import write_metrics
from tests.report.tree import restricted_card, write_benchmark_file, write_source, write_tree
from tests.report.tree_results import metric

CANARY = "Zwergkanarienvogel 4711"

RESTRICTED = Disclosure({"clinic": None}, 10)


def planted(folder: Path) -> Path:
    """A run on a restricted data set with a canary in every report."""
    return write_tree(folder / "run", dataset="clinic", share="restricted", text=CANARY)


def pictures(run: Path, dataset: str) -> list[str]:
    pixels = np.load(run / "pack" / dataset / "pixels-00000.npy")
    return [
        data_uri(one, edge).removeprefix("data:image/jpeg;base64,") for one in pixels for edge in (EDGE, STRIP_EDGE)
    ]


def test_text_ids_and_pixels_stay_in_the_internal_report(tmp_path: Path) -> None:
    run = planted(tmp_path)
    report(ReportSettings(), run, tmp_path / "out/report.html")
    shown = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    for secret in (CANARY, "The heart is large", "clinic-s0", "clinic-p0", "data:image", "<img"):
        assert secret not in shown, secret
    assert not any(picture in shown for picture in pictures(run, "clinic"))
    assert "Restricted data (clinic)" in shown
    internal = tmp_path / "out" / INTERNAL
    kept = internal.read_text(encoding="utf-8")
    assert CANARY in kept and "clinic-s0" in kept and any(picture in kept for picture in pictures(run, "clinic"))
    assert "Internal: holds pictures, ids and sentences of restricted data (clinic)" in kept
    assert stat.S_IMODE(internal.stat().st_mode) == 0o600
    assert stat.S_IMODE(internal.parent.stat().st_mode) == 0o700


def test_only_the_public_one_of_two_data_sets_is_shown(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run")
    write_source(run, "clinic", "restricted", 60, CANARY)
    report(ReportSettings(), run, tmp_path / "report.html")
    shown = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert any(picture in shown for picture in pictures(run, "phantom"))
    assert CANARY not in shown and "clinic-s0" not in shown
    assert "Partly simulated, not clinical:</strong> phantom" in shown


@pytest.mark.parametrize("content", [None, "{}", "\xff"])
def test_a_data_set_without_a_card_is_restricted(tmp_path: Path, content: str | None) -> None:
    card = tmp_path / "ingest/clinic/card.json"
    card.parent.mkdir(parents=True)
    if content is not None:
        card.write_text(content, encoding="latin-1")
    assert read_disclosure(Run(tmp_path), 10).restricted == ["clinic"]


def test_an_internal_report_goes_when_nothing_is_restricted_any_more(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run")
    card = run / "ingest/phantom/card.json"
    before = card.read_text()
    restricted_card(card)
    report(ReportSettings(), run, tmp_path / "report.html")
    assert (tmp_path / INTERNAL).exists()
    card.write_text(before)
    report(ReportSettings(), run, tmp_path / "report.html")
    assert not (tmp_path / INTERNAL).exists()


def test_a_metric_of_few_restricted_images_is_left_out(tmp_path: Path) -> None:
    run = planted(tmp_path)
    benchmark = write_benchmark_file(run, "clinic", 60)
    row = metric(benchmark, "tiny", task="zero_shot", language="mean", metric="accuracy", value=0.123456, n=9)
    write_metrics([row], run / "evaluate/tiny/zero_shot/clinic/metrics.json")
    report(ReportSettings(), run, tmp_path / "report.html")
    assert "12.3" not in (tmp_path / "report.html").read_text(encoding="utf-8")


@given(st.lists(st.integers(0, 500), min_size=2, max_size=6))
def test_a_hidden_part_cannot_be_worked_out_from_the_total(values: list[int]) -> None:
    parts = RESTRICTED.parts(values)
    hidden = [value for value, part in zip(values, parts, strict=True) if part.value is None]
    assert len(hidden) != 1
    assert all(part.value is not None or part.text in ("<10", "hidden") for part in parts)
    assert all(part.value is None for value, part in zip(values, parts, strict=True) if value < 10)
    assert all(part.value == value for value, part in zip(values, parts, strict=True) if part.value is not None)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_share_never_tells_a_small_part(hits: int, misses: int) -> None:
    share = RESTRICTED.share(hits, hits + misses)
    if share is not None:
        assert share == hits / (hits + misses)
        assert hits + misses >= 10 and not 0 < hits < 10 and not 0 < misses < 10


def test_public_counts_are_all_shown(tmp_path: Path) -> None:
    write_source(tmp_path, "phantom", "public", 20, "")
    disclosure = read_disclosure(Run(tmp_path), 10)
    assert disclosure.simulated and not disclosure.restricted
    assert [part.text for part in disclosure.parts([0, 3, 1200])] == ["0", "3", "1,200"]
    assert disclosure.share(1, 4) == 0.25
