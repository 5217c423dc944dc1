"""Label the reports of a shard, or anybody's file of reports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.config.labeling import LabelSettings
from mmclip.labeling.aggregation import aggregate_table
from mmclip.labeling.compare import compare_labels
from mmclip.labeling.explain import write_explanation
from mmclip.labeling.extractor import label_sentence
from mmclip.labeling.files import read_reports, write_labels
from mmclip.labeling.rules import rules_for
from mmclip.languages import ENGLISH
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.sentences import split
from mmclip.tables.files import read_table, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS
from mmclip.tables.sharding import shard_of

_log = logging.getLogger("mmclip.labeling")

SOURCE = "rules"
"""`label_source` of the labels that this stage reads from texts."""


def label(
    settings: LabelSettings, studies: Path, shard: int, shards: int, sentence_labels: Path, labels: Path
) -> dict[str, Any]:
    """Label the sentences and studies of one shard.

    Args:
        studies: the studies table of a data set; every study is in exactly one shard.
        shard, shards: which one of how many.
        sentence_labels: SENTENCE_LABELS, one row a sentence; `index` counts the sentences of the study's text.
        labels: LABELS of kind study, one row a study that has a sentence.

    Returns:
        Numbers of studies, sentences and distinct sentences.

    Raises:
        UserError: the studies are in a language for which no rules are shipped.
    """
    table = read_table(studies, STUDIES)
    table = table.filter(pl.Series([shard_of(study, shards) == shard for study in table["study_id"]], dtype=pl.Boolean))
    for language in table["language"].unique().sort():
        rules_for(language)
    sentences = pl.DataFrame(
        {
            "study_id": table["study_id"],
            "language": table["language"],
            "source": [split(text) for text in table["text"]],
        },
        schema={"study_id": pl.String, "language": pl.String, "source": pl.List(pl.String)},
    )
    sentences = sentences.with_columns(index=pl.int_ranges(pl.col("source").list.len(), dtype=pl.Int32))
    sentences = sentences.filter(pl.col("source").list.len() > 0).explode("source", "index")
    distinct = _distinct(sentences)
    labelled = sentences.join(distinct, on=["language", "source"], how="left", maintain_order="left")
    by_study = aggregate_table(labelled, "study_id", settings.aggregation)
    by_study = by_study.select(
        pl.col("study_id").alias("id"), pl.lit("study").alias("kind"), pl.lit(SOURCE).alias("label_source"), *COLUMNS
    )
    write_table(labelled.select(*SENTENCE_LABELS.columns), sentence_labels, SENTENCE_LABELS)
    write_table(by_study, labels, LABELS)
    counts = {"studies": table.height, "sentences": labelled.height, "distinct": distinct.height}
    _log.info("shard %d of %d: %s", shard, shards, ", ".join(f"{number} {name}" for name, number in counts.items()))
    return counts


def _distinct(sentences: pl.DataFrame) -> pl.DataFrame:
    """Each distinct sentence with its hash and its 14 states."""
    distinct = sentences.select("language", "source").unique(maintain_order=True)
    states = [label_sentence(text, language) for language, text in distinct.iter_rows()]
    columns = [
        pl.Series(name, [row[observation] for row in states], dtype=pl.Int8)
        for name, observation in zip(COLUMNS, OBSERVATIONS, strict=True)
    ]
    hashes = [sha256(text.encode()).hexdigest()[:16] for text in distinct["source"]]
    return distinct.with_columns(pl.Series("source_hash", hashes, dtype=pl.String), *columns)


def label_file(
    settings: LabelSettings,
    reports: Path,
    output: Path,
    id_column: str,
    text_columns: Sequence[str],
    explain: bool = False,
    compare: Path | None = None,
) -> dict[str, Any]:
    """Label a user's own reports.

    Args:
        reports: CSV, TSV or Parquet.
        output: `id_column` and the 14 observations under their names: 1, 0, -1, empty (CSV, TSV or Parquet); the rows
            of `reports`, in their order.
        text_columns: columns that hold the text; a report's labels are those of all its sentences.
        explain: also write the mentions, cues and rules behind each label: a page beside `output` ending in .html, and
            the same as .json. Both hold report text and are readable by their owner only.
        compare: labels of the same reports, under the same `id_column`.

    Returns:
        Numbers of reports and sentences, how often each state was given, and the comparison's rows if asked for.

    Raises:
        UserError: a file cannot be read, a column is missing, or an id occurs twice.
    """
    table = read_reports(reports, id_column, text_columns)
    sentences = pl.DataFrame(
        [
            {"id": identity, "language": ENGLISH, "source": sentence}
            for identity, *texts in table.iter_rows()
            for text in texts
            for sentence in split(text)
        ],
        schema={"id": pl.String, "language": pl.String, "source": pl.String},
    )
    labelled = sentences.join(_distinct(sentences), on=["language", "source"], how="left", maintain_order="left")
    by_report = aggregate_table(labelled, "id", settings.aggregation)
    ids = table.select(pl.col(id_column).alias("id"))
    labels = ids.join(by_report, on="id", how="left", maintain_order="left")
    compared = compare_labels(labels, compare, id_column) if compare else None
    write_labels(labels, output, id_column)
    if explain:
        write_explanation(table, id_column, output)
    counts = {
        observation: {state: int((labels[name] == value).sum()) for state, value in _COUNTED.items()}
        for name, observation in zip(COLUMNS, OBSERVATIONS, strict=True)
    }
    result: dict[str, Any] = {"reports": table.height, "sentences": sentences.height, "labels": counts}
    return result if compared is None else {**result, "comparison": compared}


_COUNTED = {"present": 1, "uncertain": -1, "absent": 0}
