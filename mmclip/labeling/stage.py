"""Label the reports of a shard, or anybody's file of reports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import polars as pl

from mmclip.config.ingest import ChosenLabels
from mmclip.config.labeling import LabelSettings
from mmclip.labeling.aggregation import aggregate_table
from mmclip.labeling.compare import compare_labels
from mmclip.labeling.explain import write_explanation
from mmclip.labeling.extractor import label_sentence
from mmclip.labeling.files import check_ending, read_reports, write_labels
from mmclip.labeling.rules import rules_for
from mmclip.labeling.sections import described_sentences
from mmclip.languages import ENGLISH
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.sentences import split
from mmclip.tables.files import read_table, write_json, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS
from mmclip.tables.schema import LABEL_COLUMNS
from mmclip.tables.sharding import shard_of

_log = logging.getLogger("mmclip.labeling")

_BLOCK = 10_000
"""Reports labelled at a time: the memory for sentences does not grow with the number of reports."""

_BLANK = pl.DataFrame(schema={"id": pl.String, "index": pl.Int32, "source_hash": pl.String, **LABEL_COLUMNS})

SOURCE: Final = "rules"
"""`label_source` of the labels that this stage reads from texts."""


def label(
    settings: LabelSettings,
    studies: Path,
    shard: int,
    shards: int,
    sentence_labels: Path,
    labels: Path,
    source: ChosenLabels = SOURCE,
) -> dict[str, Any]:
    """Label the sentences and studies of one shard.

    A text carries the labels of the sentences it contains, so sentences are always labelled by the rules; whole studies
    only where the data set's own choice is the rules, not labels that it brings.

    Args:
        studies: the studies table of a data set; every study is in exactly one shard.
        shard, shards: which one of how many.
        sentence_labels: SENTENCE_LABELS, one row a sentence; `index` counts the sentences of the study's text.
        labels: LABELS of kind study, one row a study that has a sentence; none unless `source` is the rules.
        source: which labels of the data set's studies count (`labels.source` in its settings).

    Returns:
        Numbers of studies, sentences and distinct sentences.

    Raises:
        UserError: the studies are in a language for which no rules are shipped.
    """
    table = read_table(studies, STUDIES)
    table = table.filter(pl.Series([shard_of(study, shards) == shard for study in table["study_id"]], dtype=pl.Boolean))
    for language in table["language"].unique().sort():
        rules_for(language)
    texts = table.select(pl.col("study_id").alias("id"), "language", "text")
    sentences, by_study = _labelled(texts, split, settings)
    if source != SOURCE:
        by_study = by_study.clear()
    by_study = by_study.select("id", pl.lit("study").alias("kind"), pl.lit(SOURCE).alias("label_source"), *COLUMNS)
    sentences = sentences.rename({"id": "study_id"}).select(*SENTENCE_LABELS.columns)
    write_table(sentences, sentence_labels, SENTENCE_LABELS)
    write_table(by_study, labels, LABELS)
    counts = {
        "studies": table.height,
        "sentences": sentences.height,
        "distinct": sentences["source_hash"].n_unique(),
    }
    _log.info("shard %d of %d: %s", shard, shards, ", ".join(f"{number} {name}" for name, number in counts.items()))
    return counts


def _labelled(
    texts: pl.DataFrame, cut: Callable[[str], list[str]], settings: LabelSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels of the sentences (id, index in the text, source_hash, 14 states), and of the texts of one id together.

    Args:
        texts: id, language, text; the rows of one id follow each other.
        cut: gives the sentences of a text.
    """
    sentences, by_id = [_BLANK.select("id", "index", "source_hash", *COLUMNS)], [_BLANK.select("id", *COLUMNS)]
    starts = texts.select((pl.col("id") != pl.col("id").shift()).fill_null(True).cum_sum() // _BLOCK).to_series()
    for block in texts.with_columns(block=starts).partition_by("block", maintain_order=True):
        found = _sentences(block, cut)
        rows = found.join(_distinct(found), on=["language", "source"], how="left", maintain_order="left")
        sentences.append(rows.select("id", "index", "source_hash", *COLUMNS))
        by_id.append(aggregate_table(rows, "id", settings.aggregation))
    return pl.concat(sentences), pl.concat(by_id)


def _sentences(texts: pl.DataFrame, cut: Callable[[str], list[str]]) -> pl.DataFrame:
    """A row a sentence, in order: id, language, source (the sentence), index (its number in its text)."""
    lists = pl.Series("source", map(cut, texts["text"]), dtype=pl.List(pl.String))
    table = texts.select("id", "language").with_columns(lists)
    table = table.with_columns(index=pl.int_ranges(pl.col("source").list.len(), dtype=pl.Int32))
    return table.filter(pl.col("source").list.len() > 0).explode("source", "index")


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
    compare_id: str | None = None,
    language: str = ENGLISH,
) -> dict[str, Any]:
    """Label a user's own reports.

    Args:
        reports: CSV, TSV or Parquet.
        output: `id_column` and the 14 observations under their names: 1, 0, -1, empty (CSV, TSV or Parquet); the rows
            of `reports`, in their order.
        text_columns: columns that hold the text; a report's labels are those of all its sentences, but for what stands
            below a heading such as "Indication:" or "History:".
        explain: also write the mentions, cues and rules behind each label: a page beside `output` ending in .html, and
            the same as .json. Both hold report text and are readable by their owner only.
        compare: other labels of the same reports; the comparison is also written beside `output`, ending in
            .comparison.json.
        compare_id: the column of their ids; `id_column` if not given.
        language: of the reports, a FLORES-200 code.

    Returns:
        Numbers of reports and sentences, how often each state was given, and the comparison's rows if asked for.

    Raises:
        UserError: a file cannot be read, a column is missing, an id occurs twice, or the language has no rules.
    """
    check_ending(output)
    rules = rules_for(language)
    table = read_reports(reports, id_column, text_columns)
    texts = pl.concat(
        table.select(
            pl.col(id_column).alias("id"), pl.lit(language).alias("language"), pl.col(name).alias("text")
        ).with_row_index("row")
        for name in text_columns
    ).sort("row", maintain_order=True)
    sentences, by_report = _labelled(texts, described_sentences, settings)
    ids = table.select(pl.col(id_column).alias("id"))
    labels = ids.join(by_report, on="id", how="left", maintain_order="left")
    compared = compare_labels(labels, compare, compare_id or id_column) if compare else None
    write_labels(labels, output, id_column)
    if compared is not None:
        write_json(compared, output.with_suffix(".comparison.json"))
    if explain:
        write_explanation(table, labels, output, rules)
    counts = {
        observation: {state: int((labels[name] == value).sum()) for state, value in _COUNTED.items()}
        for name, observation in zip(COLUMNS, OBSERVATIONS, strict=True)
    }
    result: dict[str, Any] = {"reports": table.height, "sentences": sentences.height, "labels": counts}
    return result if compared is None else {**result, "comparison": compared}


_COUNTED = {"present": 1, "uncertain": -1, "absent": 0}
