"""The contact sheet: the very pictures of the training, in a file for its owner alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from mmclip.cli import app
from mmclip.config.augmentation import Augmentation
from mmclip.data.augment import augment
from mmclip.data.contact_sheet import choose, contact_sheet
from mmclip.data.packed import PackedImages
from mmclip.data.randomness import id_hashes
from tests.data.test_images import squares, write_pack


def test_each_row_is_an_image_packed_plain_and_augmented(tmp_path: Path) -> None:
    images = np.stack(squares(3, 40))
    packs = PackedImages([write_pack(tmp_path / "set", ["a", "b", "c"], images)])
    settings = Augmentation(name="paper")
    sheet = contact_sheet(packs, ["c", "a"], settings, size=32, seed=5, epochs=2)
    assert sheet.shape == (2 * (40 + 4), 40 + 4 + 3 * (32 + 4))
    assert np.array_equal(sheet[:40, :40], images[2]) and np.array_equal(sheet[44:84, :40], images[0])
    second = augment([images[0]], settings, 32, 5, id_hashes(["a"]), np.array([1]))[0, 0]
    assert np.array_equal(sheet[44:76, 116:148], second)


def test_the_command_writes_a_private_picture(tmp_path: Path) -> None:
    write_pack(tmp_path / "set", [f"i{number}" for number in range(9)], np.stack(squares(9, 40)))
    settings = tmp_path / "experiment.yaml"
    settings.write_text(json.dumps({"task": "classify", "model": {"image": {"size": 32}}}))
    sheet = tmp_path / "sheet.png"
    arguments = ["contact-sheet", str(tmp_path / "set"), "-o", str(sheet), "--settings", str(settings), "--images", "4"]
    result = CliRunner().invoke(app, [*arguments, "--epochs", "3"])
    assert result.exit_code == 0, result.output
    assert cv2.imread(str(sheet), cv2.IMREAD_GRAYSCALE).shape == (4 * 44, 44 + 4 * 36)
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600


def test_images_are_drawn_by_the_seed() -> None:
    ids = [f"i{number}" for number in range(30)]
    assert choose(ids, 5, 0) == choose(ids, 5, 0) != choose(ids, 5, 1)
    assert set(choose(ids, 99, 0)) == {*ids}
