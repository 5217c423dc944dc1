"""Pictures for a page: from the data set's own files or from the pack, and their size."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from mmclip.data.packed import PackedImages
from mmclip.data.thumbnail import data_uri, read_pictures
from mmclip.tables.files import write_table
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import IMAGES


def decoded(uri: str) -> np.ndarray:
    return simplejpeg.decode_jpeg(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")), "GRAY")[..., 0]


@pytest.mark.parametrize(
    ("shape", "edge", "wanted"), [((40, 80), 20, (10, 20)), ((30, 30), 99, (30, 30)), ((1, 900), 9, (1, 9))]
)
def test_a_picture_keeps_its_shape_and_is_never_enlarged(
    shape: tuple[int, int], edge: int, wanted: tuple[int, int]
) -> None:
    picture = decoded(data_uri(np.full(shape, 77, np.uint8), edge))
    assert picture.shape == wanted
    assert abs(int(picture.mean()) - 77) <= 2


def test_own_files_come_before_packed_pixels(tmp_path: Path) -> None:
    shape: dict[str, object] = {"shard": 0, "frames": 1, "width": 8, "height": 8, "scale": 1.0}
    shape |= {"offset_x": 0.0, "offset_y": 0.0, "sha256": ""}
    (tmp_path / "pack").mkdir()
    np.save(tmp_path / "pack/pixels-00000.npy", np.zeros((3, 8, 8), np.uint8), allow_pickle=False)
    names = ("own", "gone", "outside")
    index = [{"image_id": name, "row": row, **shape} for row, name in enumerate(names)]
    write_table(INDEX.frame(index), tmp_path / "pack/index.parquet", INDEX)
    folder = tmp_path / "ingest"
    folder.mkdir()
    jpeg = simplejpeg.encode_jpeg(np.full((32, 24, 1), 200, np.uint8), 95, colorspace="GRAY", colorsubsampling="Gray")
    for path in (folder / "own.jpg", tmp_path / "outside.jpg"):
        path.write_bytes(jpeg)
    rest: dict[str, object] = {
        "study_id": "s",
        "patient_id": "p",
        "view": "PA",
        "width": 24,
        "height": 32,
        "split": "test",
        "sha256": "",
    }
    paths = ("own.jpg", "gone.jpg", "../outside.jpg")
    rows = [{"image_id": name, "path": path, **rest} for name, path in zip(names, paths, strict=True)]
    write_table(IMAGES.frame(rows), folder / "images.parquet", IMAGES)
    pictures = read_pictures(PackedImages([tmp_path / "pack"]), folder, names)
    assert [picture.shape for picture in pictures] == [(32, 24), (8, 8), (8, 8)]
    assert abs(int(pictures[0].mean()) - 200) <= 2
    assert read_pictures(PackedImages([tmp_path / "pack"]), tmp_path / "none", ["own"])[0].shape == (8, 8)
