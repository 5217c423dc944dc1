"""A run in a few lines for the terminal: where its report is, and what its models scored."""

from __future__ import annotations

from pathlib import Path

from mmclip.config.report import RunParts
from mmclip.report.disclosure import read_disclosure
from mmclip.report.measured import MEAN, NONE, WORST, read_run
from mmclip.report.run import ALL, Run
from mmclip.tables.evaluation import Metric

SMALLEST = 10
"""Scores of fewer restricted images are not told."""


def summarise(results: Path, parts: RunParts = ALL) -> str:
    """The report's path and a line for each experiment and data set: zero-shot accuracy, and chance.

    Args:
        parts: what of the folder belongs to the run; by default all that lies there.

    Raises:
        UserError: a metrics.json is not what it should be.
    """
    run = Run(results, parts)
    disclosure = read_disclosure(run, SMALLEST)
    measured = read_run(run)
    page = results / "report" / "report.html"
    lines = [f"report: {page}" if page.is_file() else f"{page}: not written yet"]
    search = results / "search" / "search.html"
    lines += [f"search: {search}"] if search.is_file() else []
    scored = measured.find(task="zero_shot", metric="accuracy", language=MEAN)
    shown = [row for row in scored if disclosure.public(row.dataset) or row.n >= SMALLEST]
    width = max((len(row.experiment) for row in shown), default=0)
    for row in sorted(shown, key=lambda row: (row.dataset, -row.value)):
        same = {"experiment": row.experiment, "dataset": row.dataset, "task": "zero_shot"}
        worst = measured.one(**same, metric="accuracy", language=WORST)
        chance = measured.one(**same, metric="chance_accuracy", language=NONE)
        told = [f"{row.dataset}: {row.experiment:{width}}  zero-shot accuracy {_interval(row)}, mean of languages"]
        told += [f"worst language {worst.value:.3f}"] if worst else []
        told += [f"chance {chance.value:.3f}"] if chance else []
        lines.append("; ".join(told))
    if disclosure.simulated and shown:
        lines.append("simulated, not clinical")
    return "\n".join(lines)


def _interval(row: Metric) -> str:
    bounds = "" if row.low is None or row.high is None else f" ({row.low:.3f} to {row.high:.3f})"
    return f"{row.value:.3f}{bounds}"
