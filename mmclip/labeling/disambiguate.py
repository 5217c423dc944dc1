"""Soft label vectors of studies, images and sentences, with uncertain labels settled by policy."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmclip.config.labeling import DisambiguateSettings
from mmclip.data.labels import first_source, image_labels
from mmclip.data.randomness import id_hashes, uniforms
from mmclip.labeling.policies import NOT_MENTIONED, describe, one_hot, settle
from mmclip.observations import COLUMNS, UNCERTAIN
from mmclip.tables.files import read_table, read_tables, write_table
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS, PREDICTIONS, SENTENCE_LABELS, TARGETS

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
    take its own prediction; a study's take the mean over its images, and a sentence takes its study's: all sentences
    of a report, and its image, are settled by one value, a smoothed one too. So a text's vector is that of the
    aggregation of the sentences it contains (:func:`mmclip.data.targets.combine_vectors`), whichever these are.
    Images have the policies of the image side; studies and sentences those of the text side.

    Args:
        ingest: folders of data sets: their images.parquet, and labels.parquet where they have labels.
        labels: LABELS of the label stage.
        sentence_labels: SENTENCE_LABELS of the label stage.
        predictions: PREDICTIONS of label classifiers, none or several; where two predict the same, the first counts.

    Returns:
        How many vectors of each kind, how many entries were uncertain, how many of those a prediction settled, and for
        how many the policy wanted one in vain.
    """
    images = read_tables([folder / "images.parquet" for folder in ingest], IMAGES).select("image_id", "study_id")
    given = [folder / "labels.parquet" for folder in ingest]
    all_labels = read_tables([*labels, *(path for path in given if path.exists())], LABELS)
    chosen = first_source(all_labels, settings.label_sources)
    predicted = _predictions(predictions)
    by_study = _mean_by_study(predicted)
    studies = chosen.filter(pl.col("kind") == "study").select("id", *COLUMNS, pl.col("id").alias("study_id"))
    sentences = read_tables(list(sentence_labels), SENTENCE_LABELS).select(
        pl.concat_str("study_id", pl.lit("/"), "index").alias("id"), *COLUMNS, "study_id"
    )
    kinds = {
        "image": (image_labels(images, chosen).rename({"image_id": "id"}), predicted.drop("study_id"), "id"),
        "study": (studies, by_study, "study_id"),
        "sentence": (sentences, by_study, "study_id"),
    }
    tables: list[pl.DataFrame] = []
    counts: dict[str, Any] = {"uncertain": 0, "predicted": 0, "fallback": 0}
    for kind, (table, probabilities, key) in kinds.items():
        targets, of_kind = _targets(table, probabilities, key, kind, settings)
        tables.append(targets)
        counts |= {kind: len(targets), **{name: counts[name] + number for name, number in of_kind.items()}}
    write_table(pl.concat(tables), output, TARGETS)
    _log.info("targets: %s", ", ".join(f"{number} {name}" for name, number in counts.items()))
    return counts


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
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Targets of one kind; and of their entries how many were uncertain, and were settled with or for lack of a
    prediction."""
    treatments = settings.treatments("image" if kind == "image" else "text")
    states = table.select(pl.col(COLUMNS).fill_null(NOT_MENTIONED).cast(pl.Int8)).to_numpy()
    matched = table.select(key).join(probabilities, on=key, how="left", maintain_order="left")
    predictions = matched.select(pl.col(COLUMNS).cast(pl.Float32).fill_null(np.nan)).to_numpy()
    studies = id_hashes(table["study_id"].to_list())
    draws = uniforms(0, studies, np.zeros(len(studies), np.int64), len(COLUMNS))
    vectors = settle(states, predictions, treatments, draws)
    if settings.one_hot:
        vectors = one_hot(states, vectors, treatments)
    targets = pl.DataFrame(
        {
            "id": table["id"],
            "kind": pl.Series([kind], dtype=pl.String).new_from_index(0, table.height),
            "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])).cast(pl.List(pl.Float32)),
            "policy": pl.Series(describe(states, predictions, treatments), dtype=pl.String),
        }
    )
    uncertain = states == UNCERTAIN
    wanted = uncertain & np.array([treatment.predicted for treatment in treatments])
    missing = int((wanted & np.isnan(predictions)).sum())
    return targets, {
        "uncertain": int(uncertain.sum()),
        "predicted": int(wanted.sum()) - missing,
        "fallback": missing,
    }
