"""The few lines for the terminal."""

from __future__ import annotations

from pathlib import Path

from mmclip.report.summary import summarise
from tests.report.tree import write_tree


def test_it_names_the_report_and_the_scores(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run")
    assert "not written yet" in summarise(run).splitlines()[0]
    (run / "report").mkdir()
    (run / "report/report.html").write_text("")
    lines = summarise(run).splitlines()
    assert lines[0] == f"report: {run}/report/report.html"
    assert [line.split()[1] for line in lines[1:5]] == [
        "three_m_clip",
        "three_m_clip_unfiltered",
        "clip",
        "shuffled_pairs",
    ]
    assert "chance 0.200" in lines[1] and lines[-1] == "simulated, not clinical"


def test_of_an_empty_run_it_says_so(tmp_path: Path) -> None:
    assert "not written yet" in summarise(tmp_path)
