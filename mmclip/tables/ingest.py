"""Tables of the sources: studies, images, boxes and masks."""

import polars as pl

from mmclip.tables.schema import Table

SPLITS = ("train", "val", "test")

VIEWS = ("AP", "PA", "FRONTAL", "LATERAL", "OTHER", "UNKNOWN")
"""Views of an image; FRONTAL where the source does not tell AP from PA, OTHER where it names another one (lying on a
side, oblique), UNKNOWN where it tells nothing."""

STUDIES = Table(
    "studies",
    {
        "study_id": pl.String,
        "patient_id": pl.String,
        "language": pl.String,
        "findings": pl.String,
        "impression": pl.String,
        "text": pl.String,  # by the section policy; "" for a study without a report
        "split": pl.String,
        "source": pl.String,  # name of the data set
    },
    nullable=frozenset({"findings", "impression"}),
    key=("study_id",),
)

IMAGES = Table(
    "images",
    {
        "image_id": pl.String,
        "study_id": pl.String,
        "patient_id": pl.String,
        "path": pl.String,  # relative to the folder of the table, or absolute
        "view": pl.String,  # one of VIEWS
        "width": pl.Int32,
        "height": pl.Int32,
        "split": pl.String,
        "sha256": pl.String,  # of the file
    },
    key=("image_id",),
)

BOXES = Table(
    "boxes",
    {
        "image_id": pl.String,
        "observation": pl.String,
        "x": pl.Float32,  # left edge, in pixels of the original image
        "y": pl.Float32,
        "width": pl.Float32,
        "height": pl.Float32,
    },
)

MASKS = Table(
    "masks",
    {
        "image_id": pl.String,
        "observation": pl.String,
        "width": pl.Int32,
        "height": pl.Int32,
        "runs": pl.List(pl.Int32),  # row-major: length of background, of foreground, of background, ...
    },
    key=("image_id", "observation"),
)

OWN_LABELS = Table(
    "own labels",
    {
        "id": pl.String,
        "kind": pl.String,  # study or image
        "name": pl.String,  # in the data set's own words
        "state": pl.Int8,
    },
    key=("id", "kind", "name"),
)
"""What a data set says beyond the 14 observations, in its own words: 1 present, 0 absent, -1 uncertain."""

HELD_OUT = Table(
    "held out",
    {
        "benchmark": pl.String,
        "image_id": pl.String,
        "study_id": pl.String,
        "patient_id": pl.String,
        "observation": pl.String,  # its class
    },
    key=("benchmark", "image_id"),
)
"""The images that were drawn for benchmarks; their patients are in the split test."""

SKIPPED = Table("skipped", {"id": pl.String, "reason": pl.String})
"""What a stage had to leave out, and why."""
