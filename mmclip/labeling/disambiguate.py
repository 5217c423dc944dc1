"""Soft label vectors of studies, images and sentences, with uncertain labels settled by policy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmclip.config.labeling import DisambiguateSettings
from mmclip.labeling.policies import PREDICTED, describe, settle
from mmclip.observations import COLUMNS, OBSERVATIONS, UNCERTAIN
from mmclip.tables.files import read_table, read_tables, write_table
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS, PREDICTIONS, SENTENCE_LABELS, TARGETS
from mmclip.tables.schema import check

_log = logging.getLogger("mmclip.labeling")


def disambiguate(
    settings: DisambiguateSettings,
    ingest: Sequence[Path],
    labels: Sequence[Path],
    sentence_labels: Sequence[Path],
    predictions: Sequence[Path],
    output: Path,
) -> dict[str, Any]:
    """Write the TARGETS table: a vector for each labelled image, each labelled study and each sentence.

    An image has the labels of the first of `settings.label_sources` that it or its study has, its own before its
    study's; one without any has no vector, since zeros would say that it is like no text at all. Its uncertain entries
    take its own prediction; a study's take the mean over its images, and a sentence takes its study's.

    Args:
        ingest: folders of data sets: their images.parquet, and labels.parquet where they have labels.
        labels: LABELS of the label stage.
        sentence_labels: SENTENCE_LABELS of the label stage.
        predictions: PREDICTIONS of label classifiers, none or several; where two predict the same, the first counts.

    Returns:
        How many vectors of each kind, how many entries were uncertain, and how many of those a prediction settled.
    """
    images = read_tables([folder / "images.parquet" for folder in ingest], IMAGES)
    given = [folder / "labels.parquet" for folder in ingest]
    chosen = _chosen(read_tables([*labels, *(path for path in given if path.exists())], LABELS), settings)
    predicted = _predictions(predictions)
    by_study = _mean_by_study(predicted)
    studies = chosen.filter(pl.col("kind") == "study").select("id", *COLUMNS, pl.col("id").alias("study_id"))
    sentences = read_tables(list(sentence_labels), SENTENCE_LABELS).select(
        pl.concat_str("study_id", pl.lit("/"), "index").alias("id"), *COLUMNS, "study_id"
    )
    kinds = {
        "image": (_image_labels(images, chosen), predicted.drop("study_id"), "id"),
        "study": (studies, by_study, "study_id"),
        "sentence": (sentences, by_study, "study_id"),
    }
    tables: list[pl.DataFrame] = []
    counts: dict[str, Any] = {"uncertain": 0, "predicted": 0}
    for kind, (table, probabilities, key) in kinds.items():
        targets, uncertain, settled = _targets(table, probabilities, key, kind, settings)
        tables.append(targets)
        counts |= {kind: len(targets), "uncertain": counts["uncertain"] + uncertain}
        counts["predicted"] += settled
    write_table(pl.concat(tables), output, TARGETS)
    _log.info("targets: %s", ", ".join(f"{number} {name}" for name, number in counts.items()))
    return counts


def _chosen(labels: pl.DataFrame, settings: DisambiguateSettings) -> pl.DataFrame:
    """For each id and kind the labels of the first source that it has, with that source's `rank`."""
    check(labels, LABELS, "labels")
    rank = {source: number for number, source in enumerate(settings.label_sources)}
    known = labels.filter(pl.col("label_source").is_in(list(rank)))
    known = known.with_columns(rank=pl.col("label_source").replace_strict(rank, return_dtype=pl.Int32))
    return known.sort("rank", maintain_order=True).unique(["id", "kind"], keep="first", maintain_order=True)


def _image_labels(images: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """The labels of every image that has any: its own or its study's, whichever source comes first."""
    own, study = (chosen.filter(pl.col("kind") == kind).select("id", "rank", *COLUMNS) for kind in ("image", "study"))
    ids = images.select(pl.col("image_id").alias("id"), "study_id")
    both = ids.join(own, on="id", how="left", maintain_order="left").join(
        study.rename({"id": "study_id"}), on="study_id", how="left", maintain_order="left", suffix=":study"
    )
    both = both.filter(pl.any_horizontal(pl.col("rank", "rank:study").is_not_null()))
    first = pl.col("rank").is_not_null() & (pl.col("rank") <= pl.col("rank:study").fill_null(len(chosen)))
    merged = (pl.when(first).then(pl.col(name)).otherwise(pl.col(f"{name}:study")).alias(name) for name in COLUMNS)
    return both.select("id", *merged, "study_id")


def _predictions(files: Sequence[Path]) -> pl.DataFrame:
    """`id` (image), study_id and the probabilities; of several files the first that predicts an entry."""
    table = PREDICTIONS.empty()
    for file in files:
        more = read_table(file, PREDICTIONS).with_columns(pl.col(COLUMNS).fill_nan(None))
        both = table.join(more, on="image_id", how="full", coalesce=True, suffix=":more", maintain_order="left_right")
        names = ("study_id", *COLUMNS)
        table = both.select("image_id", *(pl.coalesce(name, f"{name}:more").alias(name) for name in names))
    return table.rename({"image_id": "id"})


def _mean_by_study(predicted: pl.DataFrame) -> pl.DataFrame:
    return predicted.group_by("study_id", maintain_order=True).agg(pl.col(name).mean() for name in COLUMNS)


def _targets(
    table: pl.DataFrame, probabilities: pl.DataFrame, key: str, kind: str, settings: DisambiguateSettings
) -> tuple[pl.DataFrame, int, int]:
    """Targets of one kind, the number of uncertain entries, and of those that a prediction settles."""
    states = table.select(pl.col(COLUMNS).fill_null(0).cast(pl.Int8)).to_numpy()
    matched = table.select(key).join(probabilities, on=key, how="left", maintain_order="left")
    predictions = matched.select(pl.col(COLUMNS).cast(pl.Float32).fill_null(np.nan)).to_numpy()
    vectors = settle(states, predictions, settings)
    targets = pl.DataFrame(
        {
            "id": table["id"],
            "kind": pl.Series([kind], dtype=pl.String).new_from_index(0, table.height),
            "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, len(COLUMNS))).cast(pl.List(pl.Float32)),
            "policy": pl.Series(describe(states, predictions, settings), dtype=pl.String),
        }
    )
    uncertain = states == UNCERTAIN
    needed = np.array([settings.policy(name) in PREDICTED for name in OBSERVATIONS])
    return targets, int(uncertain.sum()), int((uncertain & needed & ~np.isnan(predictions)).sum())
