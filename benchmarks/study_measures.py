"""What a study measures of a run, and the intervals over seeds and patients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from study_runs import Run, Study

from mmclip.metrics.bootstrap import Interval, two_level_bootstrap
from mmclip.observations import COLUMNS, OBSERVATIONS, UNCERTAIN, column
from mmclip.phantom.truth import FINDINGS
from mmclip.tables.evaluation import PREDICTIONS
from mmclip.tables.files import read_table, read_tables, write_json
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, TARGETS

Row = dict[str, Any]

FIGURES: dict[str, tuple[str, Row]] = {
    "zero_shot_mean": ("zero_shot", {"metric": "accuracy", "language": "mean"}),
    "zero_shot_worst": ("zero_shot", {"metric": "accuracy", "language": "worst"}),
    "precision_at_5": (
        "retrieval",
        {"metric": "precision_at_k", "k": 5, "direction": "text_to_image", "language": "mean"},
    ),
}
"""Column of a row -> task, and what picks its row of metrics.json."""

TARGET_ERROR, TARGET_ERROR_ALL = "target_error", "target_error_all"
"""Mean squared error of the training studies' targets against what the film shows (Brier score): of the entries that
the report leaves uncertain, and of all entries of the findings that the phantom draws."""

COLUMNS_OF = {
    "zero_shot": ("zero_shot_mean", "zero_shot_worst"),
    "retrieval": ("precision_at_5",),
    "targets": (TARGET_ERROR, TARGET_ERROR_ALL),
}
"""Measure -> its columns of a row."""

WITH_EVIDENCE = ("zero_shot_mean", TARGET_ERROR)
"""Columns that are means over units of patients, so that patients can be drawn anew."""


def columns(study: Study) -> list[str]:
    """The measured columns of a study's rows."""
    return [name for measure in study.measures for name in COLUMNS_OF[measure]]


def measure(run: Run) -> Row | None:
    """The row of a run, if it is finished; its evidence is written beside it."""
    if run.row_file.exists():
        row: Row = json.loads(run.row_file.read_text(encoding="utf-8"))
        return row
    row = {"variant": run.variant.name, "seed": run.seed}
    for name, (task, wanted) in FIGURES.items():
        if task in run.study.measures:
            if not run.metrics(task).exists():
                return None
            found = [entry for entry in json.loads(run.metrics(task).read_text()) if wanted.items() <= entry.items()]
            row |= {name: round(found[0]["value"], 4), "n": found[0]["n"]}
    parts = []
    if "zero_shot" in run.study.measures:
        parts.append(zero_shot_evidence(run.metrics("zero_shot").with_name("predictions.parquet")))
    if "targets" in run.study.measures:
        errors = target_errors(run.results)
        uncertain = errors.filter("uncertain")
        parts.append(uncertain.select(pl.lit(TARGET_ERROR).alias("column"), "unit", "patient_id", "value"))
        row |= {TARGET_ERROR: round(_mean(uncertain["value"]), 4), TARGET_ERROR_ALL: round(_mean(errors["value"]), 4)}
        row["uncertain_entries"] = len(uncertain)
    run.folder.mkdir(parents=True, exist_ok=True)
    pl.concat(parts).write_parquet(run.evidence_file)
    write_json(row, run.row_file)
    return row


def zero_shot_evidence(predictions: Path) -> pl.DataFrame:
    """Of each sample the share of languages in which it is classified right."""
    table = read_table(predictions, PREDICTIONS)
    right = table.with_columns(value=(pl.col("truth") == pl.col("predicted")).cast(pl.Float64))
    of_sample = right.group_by("id", "patient_id").agg(pl.col("value").mean()).sort("id")
    return of_sample.select(pl.lit("zero_shot_mean").alias("column"), pl.col("id").alias("unit"), "patient_id", "value")


def target_errors(results: Path) -> pl.DataFrame:
    """Squared error of each entry of the training studies' targets: unit, patient_id, uncertain, value.

    Only the findings that the phantom draws have a truth. Of vectors with one-hot slots, that of present counts.
    """
    ingest = sorted((results / "ingest").glob("*/studies.parquet"))
    studies = read_tables(list(ingest), STUDIES).filter(pl.col("split") == "train").select("study_id", "patient_id")
    given = read_tables([file.with_name("labels.parquet") for file in ingest], LABELS)
    read = read_tables(sorted((results / "label").glob("*.labels.parquet")), LABELS)
    targets = read_table(results / "disambiguate/targets.parquet", TARGETS).filter(pl.col("kind") == "study")
    vectors = targets.select(
        pl.col("id").alias("study_id"),
        *(pl.col("vector").list.get(number).alias(name) for number, name in enumerate(COLUMNS)),
    )
    parts = [
        _long(table, name)
        for table, name in (
            (vectors, "target"),
            (read.filter(pl.col("kind") == "study").rename({"id": "study_id"}), "state"),
            (given.filter(kind="study", label_source="truth").rename({"id": "study_id"}), "truth"),
        )
    ]
    joined = studies
    for part in parts:
        joined = joined.join(
            part, on=["study_id", "column"] if "column" in joined.columns else ["study_id"], how="inner"
        )
    return joined.select(
        pl.concat_str("study_id", pl.lit("/"), "column").alias("unit"),
        "patient_id",
        (pl.col("state") == UNCERTAIN).fill_null(False).alias("uncertain"),
        ((pl.col("target") - pl.col("truth")) ** 2).alias("value"),
    ).sort("unit")


def _long(table: pl.DataFrame, name: str) -> pl.DataFrame:
    drawn = [column(finding) for finding in OBSERVATIONS if finding in FINDINGS]
    wide = table.select("study_id", pl.col(drawn).cast(pl.Float64))
    return wide.unpivot(drawn, index="study_id", variable_name="column", value_name=name)


def _mean(values: pl.Series) -> float:
    return float(np.mean(values.to_numpy()))


def intervals(study: Study) -> list[Row]:
    """Of each variant all of whose runs are finished here, the columns with evidence: their mean over seeds and units,
    and its difference to the reference, with intervals that draw seeds first and then patients."""
    found: dict[str, dict[str, tuple[np.ndarray, list[str], list[str]]]] = {}
    for variant in study.variants:
        files = [Run(study, variant, seed).evidence_file for seed in variant.seeds]
        if files and all(file.exists() for file in files):
            tables = [pl.read_parquet(file) for file in files]
            found[variant.name] = {name: _stacked(tables, name) for name in WITH_EVIDENCE if _has(tables, name)}
    rows = []
    for variant in study.variants:
        for name, (values, units, patients) in found.get(variant.name, {}).items():
            row = {"variant": variant.name, "column": name, "seeds": len(values)}
            rows.append(row | _interval("", values, patients))
            other = found.get(variant.reference, {}).get(name)
            if other is not None and variant.reference != variant.name and other[1] == units:
                difference = values - other[0][: len(values)]
                rows[-1] |= {"against": variant.reference, **_interval("difference", difference, patients)}
    return rows


def _stacked(tables: Sequence[pl.DataFrame], name: str) -> tuple[np.ndarray, list[str], list[str]]:
    """[seeds, units] values, the units, and their patients."""
    own = [table.filter(pl.col("column") == name).sort("unit") for table in tables]
    values = np.stack([table["value"].to_numpy() for table in own])
    return values, own[0]["unit"].to_list(), own[0]["patient_id"].to_list()


def _has(tables: Iterable[pl.DataFrame], name: str) -> bool:
    return all((table["column"] == name).any() for table in tables)


def _interval(prefix: str, values: np.ndarray, patients: list[str]) -> Row:
    (found,) = two_level_bootstrap(values[:, None, :], patients, lambda means: means)
    return named(prefix, found)


def named(prefix: str, interval: Interval) -> Row:
    """An interval as entries of a row."""
    start = f"{prefix}_" if prefix else ""
    entries = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {(prefix if key == "value" and prefix else start + key): round(value, 4) for key, value in entries.items()}
