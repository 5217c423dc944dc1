"""A study's labels from its sentences', for whole tables at once."""

from __future__ import annotations

from typing import Literal

import polars as pl

from mmclip.observations import ABSENT, COLUMNS, NO_FINDING, OBSERVATIONS, PRESENT, UNCERTAIN, column

Aggregation = Literal["present_first", "chexpert_release"]


def aggregate_table(sentences: pl.DataFrame, key: str, aggregation: Aggregation = "present_first") -> pl.DataFrame:
    """One row a text, in the order of their first sentences; the same rule as `mmclip.observations.aggregate`.

    Args:
        sentences: the column `key` and the 14 observations, one row a sentence.
        key: the text that a sentence belongs to.
        aggregation: ``chexpert_release`` is what the released labeler does: a text whose sentences say both absent
            and uncertain is uncertain, even where another sentence says present.
    """
    normal = column(NO_FINDING)
    states = [_state(name, aggregation).alias(name) for name in COLUMNS if name != normal]
    finding_free = pl.when((pl.col(normal) == PRESENT).fill_null(False).all()).then(pl.lit(PRESENT, pl.Int8))
    result = sentences.group_by(key, maintain_order=True).agg(finding_free.alias(normal), *states)
    return result.select(key, *COLUMNS)


def _state(name: str, aggregation: Aggregation) -> pl.Expr:
    present, uncertain, absent = ((pl.col(name) == state).any() for state in (PRESENT, UNCERTAIN, ABSENT))
    first = pl.when(uncertain & absent).then(UNCERTAIN) if aggregation == "chexpert_release" else pl
    chain = first.when(present).then(PRESENT).when(uncertain).then(UNCERTAIN).when(absent).then(ABSENT)
    return chain.otherwise(None).cast(pl.Int8)


def disagreements(sentences: pl.DataFrame, key: str) -> dict[str, int]:
    """Observation -> texts to which the two aggregations give different states.

    They differ where a text's sentences say all three: present, absent and uncertain.

    Args:
        sentences, key: as for :func:`aggregate_table`.
    """
    paper = aggregate_table(sentences, key, "present_first")
    release = aggregate_table(sentences, key, "chexpert_release")
    return {
        observation: paper.height - int(paper[name].eq_missing(release[name]).sum())
        for name, observation in zip(COLUMNS, OBSERVATIONS, strict=True)
    }
