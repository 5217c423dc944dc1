"""The experiments side by side: what they were trained on, how they learned, what they reach."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mmclip.config.report import ReportSettings, Variant
from mmclip.languages import LANGUAGES
from mmclip.report.figures import curve_figure, floor
from mmclip.report.headline import Row
from mmclip.report.measured import MEAN, WORST, Measured
from mmclip.report.run import Run
from mmclip.tables.evaluation import Metric


@dataclass(frozen=True)
class Column:
    """A column of the table: heading and what is looked up."""

    heading: str
    wanted: dict[str, Any]
    percent: bool = True


ZERO_SHOT = {"task": "zero_shot", "metric": "accuracy"}

COLUMNS: tuple[Column, ...] = (
    Column("accuracy, mean", {**ZERO_SHOT, "language": MEAN}),
    Column("accuracy, worst language", {**ZERO_SHOT, "language": WORST}),
    Column("AUROC", {"task": "zero_shot", "metric": "auroc", "language": MEAN}, percent=False),
    Column(
        "precision at 5 of images",
        {"task": "retrieval", "metric": "precision_at_k", "k": 5, "direction": "text_to_image", "language": MEAN},
    ),
    Column(
        "recall at 10 of reports",
        {"task": "retrieval", "metric": "recall_at_k", "k": 10, "direction": "image_to_text", "language": MEAN},
    ),
    Column("negation understood", {"task": "audit", "metric": "negation_accuracy", "language": MEAN}),
)


@dataclass(frozen=True)
class Experiment:
    """A line of the table, with the experiment's training curve.

    Attributes:
        summary: of training: images, texts, languages, steps, batch_size, parameters; empty where there is none.
        results: in the order of the table's columns.
        curve: None where there is none.
        loss, floor: at the curve's end.
    """

    name: str
    summary: dict[str, Any]
    results: tuple[Metric | None, ...]
    curve: Markup | None = None
    loss: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class Experiments:
    """The table; only columns that some experiment has."""

    columns: tuple[Column, ...]
    rows: tuple[Experiment, ...]


def experiments(run: Run, measured: Measured, dataset: str | None) -> Experiments | None:
    """Every experiment that was trained or measured; None where there is none."""
    names = list(dict.fromkeys([*measured.experiments(), *(folder.name for folder in run.trained("pretrain"))]))
    if not names:
        return None
    found = {
        name: [measured.one(experiment=name, dataset=dataset, **column.wanted) for column in COLUMNS] for name in names
    }
    kept = [i for i in range(len(COLUMNS)) if any(row[i] for row in found.values())]
    rows = [_experiment(run.folder / "pretrain" / name, tuple(found[name][i] for i in kept)) for name in names]
    rows.sort(key=lambda row: -(row.results[0].value if row.results and row.results[0] else -1))
    return Experiments(tuple(COLUMNS[i] for i in kept), tuple(rows))


def _experiment(folder: Path, found: tuple[Metric | None, ...]) -> Experiment:
    """An experiment with what training left in its folder."""
    summary = _json(folder / "summary.json", {})
    rows = [row for row in _json(folder / "training_curve.json", []) if "step" in row]
    train = [row for row in rows if "loss" in row]
    if not train:
        return Experiment(folder.name, summary, found)
    return Experiment(folder.name, summary, found, curve_figure(rows, folder.name), train[-1]["loss"], floor(train[-1]))


def _json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def variants(entries: Sequence[Variant], measured: Measured, dataset: str | None) -> list[Row]:
    """Rows of a dot plot: zero-shot accuracy of each experiment, mean over languages."""
    rows = []
    for number, entry in enumerate(entries):
        found = measured.one(experiment=entry.experiment, dataset=dataset, language=MEAN, **ZERO_SHOT)
        kind = "method" if number == 0 else "variant"
        rows.append(Row(entry.label, kind, found.value, found.low, found.high) if found else Row(entry.label, kind))
    return rows


def left_out(settings: ReportSettings, measured: Measured, dataset: str | None) -> list[tuple[str, list[Row]]]:
    """(language, rows) of each experiment that never saw a language, beside the one that saw all, in that language."""
    out = []
    for experiment, code in settings.left_out.items():
        rows = []
        for label, name, kind in (
            ("seen in training", settings.left_out_reference, "method"),
            ("never seen", experiment, "variant"),
        ):
            found = measured.one(experiment=name, dataset=dataset, language=code, **ZERO_SHOT)
            rows.append(Row(label, kind, found.value, found.low, found.high) if found else Row(label, kind))
        if rows[1].value is not None:
            out.append((LANGUAGES[code].name, rows))
    return out


@dataclass(frozen=True)
class TextModel:
    """A text encoder before and after language modelling: language -> share of hidden tokens that it predicts."""

    name: str
    before: dict[str, float]
    after: dict[str, float]
    translated: dict[str, float]


def text_models(run: Run) -> list[TextModel]:
    """The text encoders below ``pretrain_text/``."""
    out = []
    for folder in run.trained("pretrain_text"):
        content = _json(folder / "metrics.json", {})
        before, after, translated = (
            {code: row[key] for code, row in content.get(when, {}).items() if key in row}
            for when, key in (("before", "mlm_accuracy"), ("after", "mlm_accuracy"), ("after", "tlm_accuracy"))
        )
        if after:
            out.append(TextModel(folder.name, before, after, translated))
    return out
