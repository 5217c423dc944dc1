"""Tables of the simulated data's truth: what is in each image, and what each sentence asserts."""

import polars as pl

from mmclip.tables.schema import LABEL_COLUMNS, Table

TRUTH = Table(
    "truth",
    {
        "study_id": pl.String,
        "observation": pl.String,
        "side": pl.String,
        "zone": pl.String,
        "severity": pl.String,
        "size_mm": pl.Int32,
        "change": pl.String,
    },
)
"""One row for each finding that an image shows."""

STATEMENTS = Table(
    "statements",
    {
        "study_id": pl.String,
        "index": pl.Int32,  # number of the sentence in the study's text
        "frame": pl.String,
        "wrong": pl.Boolean,
        **LABEL_COLUMNS,
    },
    nullable=frozenset(LABEL_COLUMNS),
    key=("study_id", "index"),
)
"""What each sentence of a report asserts; `wrong` where that is not what the image shows."""

FAULTS = Table(
    "faults",
    {"study_id": pl.String, "index": pl.Int32, "language": pl.String, "kind": pl.String},
    key=("study_id", "index", "language"),
)
"""Translation faults injected by the `memory` engine."""
