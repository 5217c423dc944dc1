"""The index of the packed pixel arrays."""

import polars as pl

from mmclip.tables.schema import Table

INDEX = Table(
    "pixel index",
    {
        "image_id": pl.String,
        "shard": pl.Int32,  # number of the array file, pixels-<shard>.npy, uint8 [rows, size, size]
        "row": pl.Int32,  # in that array
        "width": pl.Int32,  # of the original
        "height": pl.Int32,
        "frames": pl.Int32,  # of the original; the first was packed
        "scale": pl.Float32,  # packed pixel = original pixel * scale + offset
        "offset_x": pl.Float32,
        "offset_y": pl.Float32,
        "black": pl.Float32,  # rescaled values that became black and white; null where the file has grey levels
        "white": pl.Float32,
        "sha256": pl.String,  # of the packed pixels
    },
    nullable=frozenset(("black", "white")),
    key=("image_id",),
)


def array_name(shard: int) -> str:
    """The file of an array of packed pixels."""
    return f"pixels-{shard:05d}.npy"
