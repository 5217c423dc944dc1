"""The contact sheet of what the model sees: on the page that may show it, small, and of training images only."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmclip.config.augmentation import Augmentation
from mmclip.config.report import ReportSettings
from mmclip.data.contact_sheet import choose, contact_sheet
from mmclip.data.packed import PackedImages
from mmclip.data.thumbnail import data_uri
from mmclip.report.seen import EDGE, EPOCHS, ROWS, seen
from mmclip.report.stage import INTERNAL, report
from mmclip.tables.files import write_table
from mmclip.tables.ingest import IMAGES
from tests.report.tree import write_source, write_tree
from tests.report.tree_results import write_training

SHEET = re.compile(r'<img class="seen" src="(data:image/jpeg;base64,[^"]+)"')


def write_images(run: Path, dataset: str, split: str = "train") -> list[str]:
    """The images table of a data set: every third image is of the test, every tenth lateral; the ids of the others."""
    ids = [f"{dataset}-s{number:04d}-i0" for number in range(60)]
    rows: list[dict[str, object]] = [
        {"image_id": name, "study_id": name[:-3], "patient_id": name, "path": f"{name}.png", "width": 48, "height": 48,
         "view": "PA" if number % 10 else "LATERAL", "split": "test" if number % 3 == 0 else split, "sha256": "0"}
        for number, name in enumerate(ids)
    ]  # fmt: skip
    write_table(IMAGES.frame(rows), run / "ingest" / dataset / "images.parquet", IMAGES)
    return [name for number, name in enumerate(ids) if number % 3 and number % 10]


def test_the_pictures_are_those_of_the_training(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run")
    training = write_images(run, "phantom")
    sheet = seen(run, ["never_trained", "clip"], ["never_packed", "phantom"])
    assert sheet is not None
    settings = Augmentation(flip=True)
    packs = PackedImages([run / "pack/phantom"])
    expected = contact_sheet(packs, choose(training, ROWS, 3), settings, 32, 3, EPOCHS)
    assert sheet.picture == data_uri(expected, EDGE)
    assert (sheet.dataset, sheet.experiment, sheet.size) == ("phantom", "clip", 32)
    assert sheet.changes[0] == "turned by up to 10 degrees" and sheet.changes[-1] == "half of them mirrored"
    assert not any("noise" in change or "slanted" in change for change in sheet.changes)


def test_nothing_trained_or_no_training_image_gives_none(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run")
    assert seen(run, ["clip"], ["phantom"]) is None  # no images table
    write_images(run, "phantom", split="val")
    assert seen(run, ["clip"], ["phantom"]) is None
    write_images(run, "phantom")
    assert seen(run, [], ["phantom"]) is None
    summary = run / "pretrain/clip/summary.json"
    values = json.loads(summary.read_text())
    summary.write_text(json.dumps({key: value for key, value in values.items() if key != "pixels"}))
    assert seen(run, ["clip"], ["phantom"]) is None


def test_restricted_pictures_stay_in_the_internal_report(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run")
    write_source(run, "clinic", "restricted", 60, "")
    for name in ("phantom", "clinic"):
        write_images(run, name)
    assert seen(run, ["three_m_clip"], ["clinic"]) is None  # it was not trained on
    write_training(run, "three_m_clip", 3.2)
    clinic = seen(run, ["three_m_clip"], ["clinic"])
    report(ReportSettings(), run, tmp_path / "report.html")
    shown = SHEET.findall((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert clinic is not None and clinic.picture not in shown and len(shown) == 1
    kept = SHEET.findall((tmp_path / INTERNAL).read_text(encoding="utf-8"))
    assert kept == [clinic.picture]


def test_of_restricted_data_alone_the_page_shows_none(tmp_path: Path) -> None:
    run = write_tree(tmp_path / "run", dataset="clinic", share="restricted")
    write_images(run, "clinic")
    report(ReportSettings(), run, tmp_path / "report.html")
    shown = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What the model sees" not in shown and "data:image" not in shown
    assert "What the model sees" in (tmp_path / INTERNAL).read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [256, 640])
def test_it_stays_small(tmp_path: Path, size: int) -> None:
    """Of noise, which compresses worst, at the sizes that real models have."""
    run = write_tree(tmp_path / "run")
    write_images(run, "phantom")
    folder = run / "pack/phantom"
    noise = np.random.default_rng(0).integers(0, 256, (60, size, size), dtype=np.uint8)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 3) for one in noise])
    np.save(folder / "pixels-00000.npy", smooth)
    sheet = seen(run, ["clip"], ["phantom"])
    assert sheet is not None and len(sheet.picture) < 300_000
    data = np.frombuffer(base64.b64decode(sheet.picture.partition(",")[2]), np.uint8)
    assert max(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).shape) == EDGE
