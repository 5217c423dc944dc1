"""Packing: the array and its index, what is skipped, and that the number of workers does not matter."""

import shutil
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from mmclip.config.imaging import PackSettings
from mmclip.errors import BudgetExceeded, UserError
from mmclip.imaging import stage
from mmclip.imaging.array_file import header
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import letterbox, place
from mmclip.imaging.stage import pack
from mmclip.tables.files import read_table, write_table
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import IMAGES, SKIPPED

SETTINGS = PackSettings(size=32)


def make(folder: Path, files: dict[str, bytes]) -> Path:
    """The `images` table of these files, as the ingest writes it."""
    (folder / "images").mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for name, data in files.items():
        path = folder / "images" / name
        path.write_bytes(data)
        rows.append(
            {
                "image_id": name,
                "study_id": name,
                "patient_id": name,
                "path": f"images/{name}" if len(rows) % 2 else str(path),
                "view": "PA",
                "width": 1,
                "height": 1,
                "split": "train",
                "sha256": sha256(data).hexdigest(),
            }
        )
    write_table(IMAGES.frame(rows), folder / "images.parquet", IMAGES)
    return folder / "images.parquet"


def films(n: int) -> dict[str, bytes]:
    files = {}
    for number in range(n):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 255, (40 + number % 7, 60 - number % 5), dtype=np.uint8)
        if number % 3:
            files[f"{number}.png"] = bytes(cv2.imencode(".png", pixels)[1])
        else:
            gray = simplejpeg.encode_jpeg(pixels[..., None], 95, colorspace="GRAY", colorsubsampling="Gray")
            files[f"{number}.jpg"] = bytes(gray)
    return files


def test_rows_hold_the_letterboxed_images(tmp_path: Path) -> None:
    files = films(70)
    summary = pack(SETTINGS, make(tmp_path / "set", files), tmp_path / "pack")
    assert summary == {"images": 70, "packed": 70, "skipped": {}, "bytes": 70 * 32 * 32}
    pixels = np.load(tmp_path / "pack" / "pixels.npy", mmap_mode="r", allow_pickle=False)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (70, 32, 32))
    index = read_table(tmp_path / "pack" / "index.parquet", INDEX)
    assert index["image_id"].to_list() == list(files)
    assert index["row"].to_list() == list(range(70))
    for row in index.iter_rows(named=True):
        original, head = decode(files[row["image_id"]], 32, 10_000)
        placement = place(head.width, head.height, 32)
        square = pixels[row["row"]]
        assert np.array_equal(square, letterbox(original, placement, 32))
        assert row["sha256"] == sha256(square.tobytes()).hexdigest()
        assert (row["width"], row["height"]) == (head.width, head.height)
        assert (row["offset_x"], row["offset_y"]) == (placement.offset_x, placement.offset_y)
        assert row["scale"] == pytest.approx(placement.scale)


def test_workers_do_not_matter(tmp_path: Path) -> None:
    files = films(80) | {"bad.jpg": b"no image"}
    table = make(tmp_path / "set", files)
    settings = SETTINGS.model_copy(update={"error_budget": 0.1})
    pack(settings, table, tmp_path / "one")
    pack(settings.model_copy(update={"workers": 2}), table, tmp_path / "two")
    for name in ("pixels.npy", "index.parquet", "skipped.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_bad_images_are_skipped_and_leave_no_gap(tmp_path: Path) -> None:
    good = films(6)
    jpeg, png = good["0.jpg"], good["1.png"]
    at = jpeg.index(b"\xff\xc0") + 5
    bad = {
        "text.jpg": b"FINDINGS: clear",
        "cut.jpg": jpeg[:-40],
        "cut.png": png[:-40],
        "empty.jpg": b"",
        "huge.jpg": jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4 :],
        "flat.png": bytes(cv2.imencode(".png", np.full((20, 20), 700, np.uint16))[1]),
    }
    names = list(good)
    files = {names[0]: jpeg, **bad, **good, "gone.jpg": jpeg, "changed.jpg": jpeg}
    table = make(tmp_path / "set", files)
    (tmp_path / "set" / "images" / "gone.jpg").unlink()
    (tmp_path / "set" / "images" / "changed.jpg").write_bytes(png)
    with pytest.raises(BudgetExceeded, match=r"8 of 14 images cannot be used \(truncated 2, "):
        pack(SETTINGS, table, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
    pack(SETTINGS.model_copy(update={"error_budget": 1.0}), table, tmp_path / "pack")
    skipped = dict(read_table(tmp_path / "pack" / "skipped.parquet", SKIPPED).iter_rows())
    assert skipped == {
        "text.jpg": "not_an_image",
        "cut.jpg": "truncated",
        "cut.png": "truncated",
        "empty.jpg": "empty_file",
        "huge.jpg": "too_many_pixels",
        "flat.png": "constant",
        "gone.jpg": "missing_file",
        "changed.jpg": "changed_since_ingest",
    }
    index = read_table(tmp_path / "pack" / "index.parquet", INDEX)
    assert dict(index.select("image_id", "row").iter_rows()) == {name: row for row, name in enumerate(names)}
    assert len(np.load(tmp_path / "pack" / "pixels.npy")) == 6


def test_a_small_disk_is_seen_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make(tmp_path / "set", films(3))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"packed images need 0\.07 GB, 0\.00 GB are free"):
        pack(SETTINGS, table, tmp_path / "deep" / "pack")
    assert not (tmp_path / "deep").exists()


def test_a_data_set_without_images(tmp_path: Path) -> None:
    write_table(IMAGES.empty(), tmp_path / "images.parquet", IMAGES)
    assert pack(SETTINGS, tmp_path / "images.parquet", tmp_path / "pack")["packed"] == 0
    assert np.load(tmp_path / "pack" / "pixels.npy").shape == (0, 32, 32)


def test_the_header_is_numpys_own_and_of_one_length() -> None:
    assert len(header(0, 256)) == len(header(10**9, 256))
    assert header(0, 256).startswith(b"\x93NUMPY\x01\x00")
