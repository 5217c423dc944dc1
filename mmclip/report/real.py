"""A result on real patients that was measured elsewhere, as the first screen shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mmclip
from mmclip.config.report import RealResult
from mmclip.report.measured import MEAN, NONE, Measured
from mmclip.tables.evaluation import Metric, read_metrics

NAMES = {"accuracy": "accuracy", "auroc": "AUROC"}
"""Metrics that are shown, in their order: ranking well is not yet naming well, so that AUROC does not stand alone."""


@dataclass(frozen=True)
class RealRow:
    """One number with its interval.

    Attributes:
        reference: what is reached without looking at the image, in words; empty where it is not known.
        main: whether it is the experiment's first number.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    n: int
    reference: str
    main: bool


@dataclass(frozen=True)
class Real:
    """The rows of the result, experiment after experiment."""

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
    path = Path(mmclip.__file__).parents[1] / settings.metrics  # an absolute one stays as it is
    measured = Measured(tuple(row for row in read_metrics(path) if row.n >= smallest))
    rows: list[RealRow] = []
    for experiment in measured.experiments():
        found = [row for metric in NAMES if (row := _of_languages(measured, experiment, metric))]
        for row in found:
            name = f"{NAMES[row.metric]} of {experiment}"
            reference = _reference(measured, experiment, row.metric)
            rows.append(RealRow(name, row.value, row.low, row.high, row.n, reference, row is found[0]))
    return Real(settings.label, settings.note, tuple(rows)) if rows else None


def _of_languages(measured: Measured, experiment: str, metric: str) -> Metric | None:
    """The mean over languages, or of a single language its own."""
    rows = measured.find(experiment=experiment, task="zero_shot", metric=metric)
    return next((row for row in rows if row.language == MEAN), rows[0] if rows else None)


def _reference(measured: Measured, experiment: str, metric: str) -> str:
    if metric == "auroc":
        return "chance 0.50"
    constant = measured.one(experiment=experiment, metric="constant_accuracy", language=NONE)
    return f"always the same class {constant.value:.2f}" if constant else ""
