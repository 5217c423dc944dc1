"""A result on real patients that was measured elsewhere, as the first screen shows it."""

from __future__ import annotations

from dataclasses import dataclass

from mmclip.config.report import RealResult
from mmclip.report.measured import MEAN, NONE, Measured, read_metrics
from mmclip.tables.evaluation import Metric

NAMES = {"auroc": "AUROC", "accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
"""Metrics that are shown, the first that is there for each experiment."""


@dataclass(frozen=True)
class RealRow:
    """One number with its interval; `chance` is what guessing reaches."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    chance: float | None


@dataclass(frozen=True)
class Real:
    """The rows of the result, one an experiment."""

    label: str
    note: str
    rows: tuple[RealRow, ...]


def real_result(settings: RealResult | None, smallest: int) -> Real | None:
    """Zero-shot results of a metrics.json; rows of fewer than `smallest` images are left out.

    Raises:
        UserError: the file is missing or no metrics.json.
    """
    if settings is None:
        return None
    measured = Measured(tuple(row for row in read_metrics(settings.metrics) if row.n >= smallest))
    rows = []
    for experiment in measured.experiments():
        found = _first(measured, experiment)
        if found:
            chance = measured.one(experiment=experiment, metric="chance_accuracy", language=NONE)
            half = 0.5 if found.metric == "auroc" else chance.value if chance else None
            name = f"{NAMES[found.metric]} of {experiment}"
            rows.append(RealRow(name, found.value, found.low, found.high, found.n, half))
    return Real(settings.label, settings.note, tuple(rows)) if rows else None


def _first(measured: Measured, experiment: str) -> Metric | None:
    for metric in NAMES:
        rows = measured.find(experiment=experiment, task="zero_shot", metric=metric)
        mean = [row for row in rows if row.language == MEAN]
        if mean or rows:
            return (mean or rows)[0]
    return None
