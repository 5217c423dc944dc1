"""Packing: the array and its index, what is skipped, and that the number of workers does not matter."""

import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from mmclip.config.imaging import PackSettings
from mmclip.data.packed import PackedImages
from mmclip.errors import BudgetExceeded, UserError
from mmclip.imaging import stage
from mmclip.imaging.array_file import header
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import fit, letterbox, place
from mmclip.imaging.stage import pack
from mmclip.tables.files import read_table, write_table
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import IMAGES, SKIPPED
from tests.imaging.dicom_files import write

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
    expected = {"images": 70, "packed": 70, "skipped": {}, "shards": 1, "bytes": 70 * 32 * 32, "found": 0}
    assert summary == expected
    pixels = np.load(tmp_path / "pack" / "pixels-00000.npy", mmap_mode="r", allow_pickle=False)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (70, 32, 32))
    index = read_table(tmp_path / "pack" / "index.parquet", INDEX)
    assert index["image_id"].to_list() == list(files)
    assert index["row"].to_list() == list(range(70)) and set(index["shard"]) == {0}
    for row in index.iter_rows(named=True):
        image = decode(files[row["image_id"]], SETTINGS)
        head, placement = image.header, place(image.header.width, image.header.height, 32)
        square = pixels[row["row"]]
        assert np.array_equal(square, letterbox(fit(image.pixels, placement, 32), placement, 32))
        assert row["sha256"] == sha256(square.tobytes()).hexdigest()
        assert (row["width"], row["height"]) == (head.width, head.height)
        assert (row["black"], row["white"], row["frames"]) == (None, None, 1)
        assert (row["offset_x"], row["offset_y"]) == (placement.offset_x, placement.offset_y)
        assert row["scale"] == pytest.approx(placement.scale)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_workers_and_runs_do_not_matter(tmp_path: Path) -> None:
    files = films(80) | {"bad.jpg": b"no image"}
    table = make(tmp_path / "set", files)
    settings = SETTINGS.model_copy(update={"error_budget": 0.1, "shard": 33})
    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        pack(settings.model_copy(update={"workers": workers}), table, tmp_path / name)
    packed = contents(tmp_path / "one")
    assert packed == contents(tmp_path / "again") == contents(tmp_path / "two")
    assert set(packed) == {f"pixels-0000{number}.npy" for number in range(3)} | {"index.parquet", "skipped.parquet"}


def test_shards_are_one_pack_to_a_reader(tmp_path: Path) -> None:
    files = films(50)
    table = make(tmp_path / "set", files)
    pack(SETTINGS, table, tmp_path / "whole")
    pack(SETTINGS.model_copy(update={"shard": 7}), table, tmp_path / "parts")
    whole, parts = PackedImages([tmp_path / "whole"]), PackedImages([tmp_path / "parts"])
    names = list(files)[::-1]
    assert all(np.array_equal(*pair) for pair in zip(whole.read(names), parts.read(names), strict=True))
    assert parts.dataset_of("49.png") == "parts" and len(parts) == 50
    assert parts.order(names) == list(range(50))[::-1] == whole.order(names)


def test_a_killed_run_goes_on_after_its_last_shard(tmp_path: Path) -> None:
    files = films(60)
    table = make(tmp_path / "set", files)
    settings = SETTINGS.model_copy(update={"shard": 20})
    pack(settings, table, tmp_path / "whole")
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mmclip.config.imaging import PackSettings\n"
        "from mmclip.imaging import stage\n"
        "real, calls = stage.pack_block, []\n"
        "def pack_block(entries, settings):\n"
        "    calls.append(1)\n"
        "    if len(calls) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(entries, settings)\n"
        "stage.pack_block = pack_block\n"
        "stage.pack(PackSettings(size=32, shard=20), Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, table, tmp_path / "pack"], check=False)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "pack").exists()
    for name in list(files)[:40]:  # were they decoded again, they would be missed
        (tmp_path / "set" / "images" / name).unlink()
    summary = pack(settings, table, tmp_path / "pack")
    assert (summary["found"], summary["packed"]) == (2, 60)
    assert contents(tmp_path / "pack") == contents(tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_shards_of_other_settings_or_files_are_not_taken(tmp_path: Path) -> None:
    files = films(30) | {"bad.jpg": b"no image"}
    table = make(tmp_path / "set", files)
    settings = SETTINGS.model_copy(update={"shard": 10})
    with pytest.raises(BudgetExceeded):
        pack(settings, table, tmp_path / "pack")
    assert pack(settings.model_copy(update={"error_budget": 0.5}), table, tmp_path / "pack")["found"] == 4
    with pytest.raises(BudgetExceeded):
        pack(settings, table, tmp_path / "pack")
    other = settings.model_copy(update={"error_budget": 0.5, "size": 24})
    assert pack(other, table, tmp_path / "pack")["found"] == 0
    with pytest.raises(BudgetExceeded):
        pack(settings, table, tmp_path / "pack")
    shutil.rmtree(tmp_path / "set")
    table = make(tmp_path / "set", {"first.png": films(2)["1.png"]} | films(30))
    assert pack(settings, table, tmp_path / "pack")["found"] == 0


def test_what_was_mended_is_tried_again(tmp_path: Path) -> None:
    files = films(30)
    table = make(tmp_path / "set", files)
    gone = tmp_path / "set" / "images" / "25.png"
    data = gone.read_bytes()
    gone.unlink()
    settings = SETTINGS.model_copy(update={"shard": 10})
    with pytest.raises(BudgetExceeded, match="missing_file 1"):
        pack(settings, table, tmp_path / "pack")
    gone.write_bytes(data)
    summary = pack(settings, table, tmp_path / "pack")
    assert (summary["found"], summary["packed"]) == (2, 30)


def test_the_window_used_is_in_the_index(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)
    files = {
        "plain.png": films(2)["1.png"],
        "deep.png": bytes(cv2.imencode(".png", deep)[1]),
        "window.dcm": write(deep, 12, WindowCenter=2000.5, WindowWidth=1001),
        "white.dcm": write(deep, 12, WindowCenter=2000.5, WindowWidth=1001, PhotometricInterpretation="MONOCHROME1"),
    }
    pack(SETTINGS, make(tmp_path / "set", files), tmp_path / "pack")
    index = read_table(tmp_path / "pack" / "index.parquet", INDEX)
    windows = {name: (black, white) for name, black, white in index.select("image_id", "black", "white").iter_rows()}
    assert windows["plain.png"] == (None, None)
    assert windows["deep.png"][0] < 2048 < windows["deep.png"][1]
    assert windows["window.dcm"] == (1500, 2500) and windows["white.dcm"] == (2500, 1500)
    one, other = (PackedImages([tmp_path / "pack"]).read([name])[0] for name in ("window.dcm", "white.dcm"))
    assert np.abs(one.astype(int) + other - 255).max() <= 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    table = make(tmp_path / "set", films(2))
    (tmp_path / "set" / "images" / "1.png").unlink()
    os.mkfifo(tmp_path / "set" / "images" / "1.png")
    with pytest.raises(BudgetExceeded, match="missing_file 1"):
        pack(SETTINGS, table, tmp_path / "pack")


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
    assert len(np.load(tmp_path / "pack" / "pixels-00000.npy")) == 6


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
    assert np.load(tmp_path / "pack" / "pixels-00000.npy").shape == (0, 32, 32)


def test_the_header_is_numpys_own_and_of_one_length() -> None:
    assert len(header(0, 256)) == len(header(10**9, 256))
    assert header(0, 256).startswith(b"\x93NUMPY\x01\x00")
