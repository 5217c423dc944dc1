"""Results language by language: heat maps of experiments and of classes, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.languages import LANGUAGES
from mmclip.report.disclosure import Disclosure
from mmclip.report.measured import MEAN, Measured
from mmclip.tables.evaluation import PREDICTIONS, Metric
from mmclip.tables.files import read_table


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map: None where it was not measured or must not be shown."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Heat:
    """A heat map with the languages as rows.

    Attributes:
        columns: their headings.
        rows: language (or ``mean``) -> cells.
        lowest, highest: the values of the palest and of the strongest colour.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[Cell, ...]]
    lowest: float
    highest: float


PALE = 0.4
"""The strongest colour stands for this at least, so that a map of low values looks pale."""


@dataclass(frozen=True)
class Confusion:
    """Share of each true class (rows) that is taken for each class (columns), over all languages."""

    classes: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Question:
    """Something that is asked in every language: its name, how it is measured, and where the rows are."""

    name: str
    measure: str
    wanted: dict[str, Any]


def _retrieval(name: str, direction: str, metric: str, k: int) -> Question:
    measure = f"{metric.split('_')[0]} at {k}"
    return Question(name, measure, {"task": "retrieval", "direction": direction, "metric": metric, "k": k})


RETRIEVAL: tuple[Question, ...] = (
    _retrieval("images for a sentence", "text_to_image", "precision_at_k", 5),
    _retrieval("sentences for an image", "image_to_text", "precision_at_k", 1),
    _retrieval("report for an image", "image_to_text", "recall_at_k", 10),
    _retrieval("image for a report", "text_to_image", "recall_at_k", 10),
)
"""What is asked of retrieval."""

WORDS: tuple[Question, ...] = (
    Question("a sentence's translation", "recall at 1", {"task": "text", "metric": "recall_at_k", "k": 1}),
    Question("a finding and its denial", "cosine × 100", {"task": "text", "metric": "negation_similarity"}),
    Question("image between the two", "accuracy", {"task": "audit", "metric": "negation_accuracy"}),
)
"""What is asked of the text tower, and of what it does with a denial."""


def zero_shot_heat(
    measured: Measured, dataset: str, experiments: Sequence[str], metric: str = "accuracy"
) -> Heat | None:
    """Zero-shot results, experiments x languages; None where there are none."""
    wanted = {"task": "zero_shot", "dataset": dataset, "metric": metric}
    scored = [name for name in experiments if measured.find(experiment=name, **wanted)]
    chance = measured.one(task="zero_shot", dataset=dataset, metric="chance_accuracy")
    lowest = chance.value if chance and metric == "accuracy" else 0.0
    return _heat(scored, [measured.find(experiment=name, **wanted) for name in scored], lowest)


def question_heats(
    measured: Measured, dataset: str, experiments: Sequence[str], questions: Sequence[Question]
) -> list[tuple[Question, Heat]]:
    """The heat map of experiments x languages of each question that was asked."""
    out = []
    for question in questions:
        found = [measured.find(dataset=dataset, experiment=name, **question.wanted) for name in experiments]
        scored = [(name, rows) for name, rows in zip(experiments, found, strict=True) if rows]
        heat = _heat([name for name, _ in scored], [rows for _, rows in scored])
        if heat:
            out.append((question, heat))
    return out


def report_origins(measured: Measured, dataset: str) -> dict[str, list[str]]:
    """`test_text` of the reports that are retrieved -> the languages in which they are of that origin."""
    rows = measured.find(dataset=dataset, task="retrieval", metric="mean_rank")
    by_code = {row.language: row.test_text for row in rows}
    out: dict[str, list[str]] = {}
    for code in LANGUAGES:
        if code in by_code:
            out.setdefault(by_code[code], []).append(code)
    return out


def _heat(columns: Sequence[str], found: Sequence[Sequence[Metric]], lowest: float = 0.0) -> Heat | None:
    """A heat map of one list of metrics a column, coloured from `lowest` to the highest value."""
    by_language = [{row.language: row for row in rows} for rows in found]
    languages = [code for code in (*LANGUAGES, MEAN) if any(code in rows for rows in by_language)]
    if not languages:
        return None
    cells = {
        code: tuple(
            Cell(row.value, row.low, row.high) if (row := rows.get(code)) else Cell(None) for rows in by_language
        )
        for code in languages
    }
    highest = max([PALE, *(cell.value for row in cells.values() for cell in row if cell.value is not None)])
    return Heat(tuple(columns), cells, lowest, highest)


def class_heat(
    results: Path, experiment: str, dataset: str, classes: Sequence[str], disclosure: Disclosure
) -> tuple[Heat, Confusion] | None:
    """Share of each class that is named rightly in each language, and the confusion over all languages.

    None where the experiment's zero-shot predictions do not exist.
    """
    path = results / "evaluate" / experiment / "zero_shot" / dataset / "predictions.parquet"
    if not path.is_file():
        return None
    predictions = read_table(path, PREDICTIONS)
    right = predictions.group_by("language", "truth").agg(
        hits=(pl.col("truth") == pl.col("predicted")).sum(), total=pl.len()
    )
    shares = {(code, name): disclosure.share(hits, total) for code, name, hits, total in right.iter_rows()}
    rows = {
        code: tuple(Cell(shares.get((code, name))) for name in classes)
        for code in LANGUAGES
        if any((code, name) in shares for name in classes)
    }
    counted = {(a, b): n for a, b, n in predictions.group_by("truth", "predicted").len().iter_rows()}
    distinct: dict[str, int] = dict(predictions.group_by("truth").agg(pl.col("id").n_unique()).iter_rows())
    confusion = Confusion(
        tuple(classes),
        tuple(
            tuple(_shown(counted.get((a, b), 0), counted, a, distinct.get(a, 0), disclosure) for b in classes)
            for a in classes
        ),
    )
    return Heat(tuple(classes), rows, 0.0, 1.0), confusion


def _shown(
    count: int, counted: dict[tuple[str, str], int], truth: str, images: int, disclosure: Disclosure
) -> float | None:
    """A cell's share, unless the class has too few images or the cell too few cases."""
    total = sum(n for (name, _), n in counted.items() if name == truth)
    if not total or disclosure.hides(images):
        return None
    return disclosure.share(count, total)
