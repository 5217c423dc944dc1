"""Sentences with their translations; the filter adds scores and its decision."""

import polars as pl

from mmclip.tables.schema import Table

SENTENCES = Table(
    "sentences",
    {
        "study_id": pl.String,
        "index": pl.Int32,  # number of the sentence in the study's text
        "source": pl.String,
        "translation": pl.String,
        "engine": pl.String,
        "flags": pl.List(pl.String),  # length_limit, no_end, empty, copy, loop, retried
    },
    key=("study_id", "index"),
)

SCORED = Table(
    "scored sentences",
    {**SENTENCES.columns, "kept": pl.Boolean, "reasons": pl.List(pl.String)},
    key=("study_id", "index"),
    extra=("score_",),
)
