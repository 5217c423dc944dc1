"""What the filter lets through and what it holds back, text by text."""

import polars as pl

from mmclip.tables.schema import Table

CORPUS = Table(
    "corpus",
    {
        "study_id": pl.String,
        "language": pl.String,
        "text": pl.String,
        "sentences": pl.List(pl.String),  # the pieces of `text`, so that training can sample them
        "indices": pl.List(pl.Int32),  # their numbers in the study's text
        "reasons": pl.List(pl.String),  # why sentences were dropped from it, or why a rejected text was rejected
    },
    key=("study_id", "language"),
)

REJECTED = CORPUS

SAMPLE = Table(
    "validation sample",
    {
        "item": pl.String,  # what the judges see instead of the study and the decision
        "language": pl.String,
        "study_id": pl.String,
        "index": pl.Int32,
        "before": pl.String,  # the source sentences around it, empty at either end of the report
        "source": pl.String,
        "after": pl.String,
        "translation": pl.String,
        "kept": pl.Boolean,
        "reasons": pl.List(pl.String),
    },
    key=("item",),
)
