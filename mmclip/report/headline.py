"""The first figure: how often the right class is named from a sentence, beside what chance and labels reach."""

from __future__ import annotations

from dataclasses import dataclass

from mmclip.config.report import HeadlineEntry, ReportSettings
from mmclip.report.measured import MEAN, NONE, WORST, Measured
from mmclip.tables.evaluation import Metric

METRIC = "accuracy"


@dataclass(frozen=True)
class Row:
    """A row of a dot plot.

    Attributes:
        kind: method, control, ceiling or reference (known without a model).
        value, low, high: None where it was not run, or has no interval.
        note: what the row is, in a few words.
    """

    label: str
    kind: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """The first figure and what its caption must say.

    Attributes:
        rows: in the order of the settings, references last.
        worst: the worst language of each method, rows as above.
        missing: entries of the settings that were not run.
        n, languages: samples and languages scored.
    """

    dataset: str
    split: str
    test_text: str
    rows: tuple[Row, ...]
    worst: tuple[Row, ...]
    missing: tuple[HeadlineEntry, ...]
    chance: float | None
    n: int
    languages: int
    interval: str
    highest: float


def headline(settings: ReportSettings, measured: Measured) -> Headline | None:
    """The headline of the settings' data set, or None where nothing was scored there."""
    scored = measured.find(task="zero_shot", metric=METRIC, language=MEAN)
    sample = next((row for row in scored if settings.dataset in (None, row.dataset)), None)
    if sample is None:
        return None
    dataset = sample.dataset
    found = [(entry, entry_metric(entry, measured, dataset)) for entry in settings.headline]
    rows = [entry_row(entry, row) for entry, row in found]
    chance = measured.one(task="zero_shot", dataset=dataset, metric="chance_accuracy", language=NONE)
    constant = measured.one(task="zero_shot", dataset=dataset, metric="constant_accuracy", language=NONE)
    if constant:
        rows.append(Row("always the same class", "reference", constant.value, note="the commonest of the test set"))
    if chance:
        rows.append(Row("chance", "reference", chance.value, note=f"one class in {round(1 / chance.value)}"))
    return Headline(
        dataset=dataset,
        split=sample.split,
        test_text=sample.test_text,
        rows=tuple(rows),
        worst=tuple(_worst(settings, measured, dataset)),
        missing=tuple(entry for entry, row in found if row is None),
        chance=chance.value if chance else None,
        n=sample.n,
        languages=len(measured.languages(task="zero_shot", dataset=dataset, metric=METRIC)),
        interval=sample.interval,
        highest=max((row.high or row.value or 0.0 for row in rows), default=1.0),
    )


def entry_metric(entry: HeadlineEntry, measured: Measured, dataset: str) -> Metric | None:
    """The row that an entry stands for: the mean over languages of zero-shot, or the classifier trained on the most."""
    wanted = {"experiment": entry.experiment, "task": entry.task, "dataset": dataset, "metric": METRIC}
    if entry.task == "zero_shot":
        return measured.one(**wanted, language=MEAN)
    return max(measured.find(**wanted), key=lambda row: row.k or 0, default=None)


_NOTES = {"linear_probe": "linear classifier on the image tower", "fine_tune": "trained on the true labels"}


def entry_row(entry: HeadlineEntry, found: Metric | None) -> Row:
    """The row of the figure; without values where the experiment was not run."""
    note = _NOTES.get(entry.task, "")
    if found is None:
        return Row(entry.label, entry.kind, note=note)
    return Row(entry.label, entry.kind, found.value, found.low, found.high, note)


def _worst(settings: ReportSettings, measured: Measured, dataset: str) -> list[Row]:
    rows = []
    for entry in settings.headline:
        if entry.kind != "method":
            continue
        found = measured.one(
            experiment=entry.experiment, task="zero_shot", dataset=dataset, metric=METRIC, language=WORST
        )
        if found:
            rows.append(Row(entry.label, "method", found.value, found.low, found.high))
    return rows
