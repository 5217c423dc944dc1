"""Images as small pictures inside an HTML page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import simplejpeg
from numpy.typing import NDArray

from mmclip.data.packed import PackedImages
from mmclip.tables.files import read_table
from mmclip.tables.ingest import IMAGES

QUALITY = 85

Picture = NDArray[np.uint8]


def read_pictures(pack: PackedImages, ingested: Path, image_ids: Sequence[str]) -> list[Picture]:
    """Grey images [H, W]: the files that the data set itself brought (simulated ones), else the packed pixels, which
    are smaller.

    Args:
        pack: holds all the ids.
        ingested: the folder of the ingested data set; it need not exist.
    """
    own = _own_files(ingested, image_ids)
    packed = dict(zip(image_ids, pack.read(image_ids), strict=True))
    return [_decoded(own[name]) if name in own else packed[name] for name in image_ids]


def _own_files(ingested: Path, image_ids: Sequence[str]) -> dict[str, Path]:
    """JPEG files inside the data set's folder, by image id."""
    table = ingested / "images.parquet"
    if not table.is_file():
        return {}
    rows = read_table(table, IMAGES).filter(pl.col("image_id").is_in(list(image_ids))).select("image_id", "path")
    return {
        name: ingested / path
        for name, path in rows.iter_rows()
        if path.endswith(".jpg") and not Path(path).is_absolute() and ".." not in path and (ingested / path).is_file()
    }


def _decoded(path: Path) -> Picture:
    pixels: Picture = simplejpeg.decode_jpeg(path.read_bytes(), colorspace="GRAY")[..., 0]
    return pixels


def data_uri(pixels: Picture, edge: int) -> str:
    """A grey image [H, W] as a JPEG data URI, `edge` pixels wide and high at most (it is not enlarged)."""
    height, width = pixels.shape
    scale = min(1.0, edge / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    grey = np.ascontiguousarray(small, dtype=np.uint8)[..., None]
    jpeg = simplejpeg.encode_jpeg(grey, QUALITY, colorspace="GRAY", colorsubsampling="Gray")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
