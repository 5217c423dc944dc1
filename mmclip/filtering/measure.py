"""How well a filter does where the faults are known: what it catches of each kind, and what it rejects wrongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.tables.files import read_tables, write_json
from mmclip.tables.phantom import FAULTS
from mmclip.tables.translation import SCORED

NOT_INJECTED = "not_injected"
"""Kind of a sentence into which no fault was put. Of real translations that is all that is known of any sentence."""


def recall_by_kind(scored: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """Injected faults against rejected sentences, for each language and kind.

    Args:
        scored: columns language, study_id, index, kept.
        faults: FAULTS: study_id, index, language, kind.

    Returns:
        language, kind, sentences, rejected, share (rejected / sentences). For a kind of fault the share is the
        recall. For the kind ``not_injected`` it is the false alarm rate where the translations are right but for the
        injected faults, as a phrase book's are; of a translation engine's it is only the share that was rejected.
        Sorted by language and kind.
    """
    kinds = scored.select("language", "study_id", "index", "kept").join(
        faults.select("language", "study_id", "index", "kind"), on=["language", "study_id", "index"], how="left"
    )
    return (
        kinds.with_columns(pl.col("kind").fill_null(NOT_INJECTED))
        .group_by("language", "kind")
        .agg(sentences=pl.len(), rejected=(~pl.col("kept")).sum())
        .with_columns(share=pl.col("rejected") / pl.col("sentences"))
        .sort("language", "kind")
    )


def over_languages(table: pl.DataFrame) -> pl.DataFrame:
    """The table of :func:`recall_by_kind` summed over languages."""
    return (
        table.group_by("kind")
        .agg(pl.col("sentences").sum(), pl.col("rejected").sum())
        .with_columns(share=pl.col("rejected") / pl.col("sentences"))
        .sort("kind")
    )


def reason_counts(scored: pl.DataFrame) -> pl.DataFrame:
    """Number of rejected sentences for each language and reason; one with several reasons counts for each."""
    return (
        scored.select("language", reason=pl.col("reasons"))
        .explode("reason")
        .drop_nulls("reason")
        .group_by("language", "reason")
        .agg(sentences=pl.len())
        .sort("language", "reason")
    )


def faults_report(scored: pl.DataFrame, faults: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The content of ``faults_report.json``: the tables above, as rows."""
    table = recall_by_kind(scored, faults)
    return {
        "by_language": table.to_dicts(),
        "overall": over_languages(table).to_dicts(),
        "reasons": reason_counts(scored).to_dicts(),
    }


def measure(scored: Mapping[str, Sequence[Path]], faults: Sequence[Path], output: Path) -> dict[str, int]:
    """Compare a variant's decisions with the faults that were injected; writes ``faults_report.json``.

    Args:
        scored: language -> its SCORED shards.
        faults: the FAULTS tables of the same shards.

    Returns:
        Numbers of sentences and of injected faults.
    """
    sentences = pl.concat(
        read_tables([*paths], SCORED).select(
            "study_id", "index", "kept", "reasons", language=pl.lit(language, dtype=pl.String)
        )
        for language, paths in scored.items()
    )
    known = read_tables([*faults], FAULTS)
    write_json(faults_report(sentences, known), output)
    return {"sentences": sentences.height, "faults": known.height}
