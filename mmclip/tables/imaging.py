"""The index of a packed pixel array."""

import polars as pl

from mmclip.tables.schema import Table

INDEX = Table(
    "pixel index",
    {
        "image_id": pl.String,
        "row": pl.Int32,  # in pixels.npy, uint8 [rows, size, size]
        "width": pl.Int32,  # of the original
        "height": pl.Int32,
        "scale": pl.Float32,  # packed pixel = original pixel * scale + offset
        "offset_x": pl.Float32,
        "offset_y": pl.Float32,
        "sha256": pl.String,  # of the packed pixels
    },
    key=("image_id",),
)
