"""Packed pixels and their augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmclip.config.models import ImageTower
from mmclip.config.training import Augmentation
from mmclip.data.augment import augment, plain
from mmclip.data.packed import PackedImages
from mmclip.data.prefetch import prefetch
from mmclip.data.randomness import id_hashes
from mmclip.errors import UserError
from mmclip.tables.files import write_table
from mmclip.tables.imaging import INDEX

NONE = Augmentation(rotate=0, scale=(1, 1), translate=0, brightness=0, contrast=0)
TOWER = ImageTower(size=24, mean=0.5, std=0.25)


def write_pack(folder: Path, ids: list[str], pixels: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    row = {"width": 9, "height": 9, "scale": 1.0, "offset_x": 0.0, "offset_y": 0.0, "sha256": ""}
    rows: list[dict[str, object]] = [{"image_id": name, "row": number, **row} for number, name in enumerate(ids)]
    write_table(INDEX.frame(rows), folder / "index.parquet", INDEX)
    np.save(folder / "pixels.npy", pixels)
    return folder


def squares(count: int, size: int = 24) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, size, size), dtype=np.uint8))


def test_images_of_several_packs_by_id(tmp_path: Path) -> None:
    one, two = np.stack(squares(2)), np.stack(squares(3, 16))
    packs = PackedImages(
        [write_pack(tmp_path / "one", ["a", "b"], one), write_pack(tmp_path / "two", ["c", "d", "e"], two)]
    )
    read = packs.read(["e", "a", "e"])
    assert np.array_equal(read[0], two[2]) and np.array_equal(read[1], one[0]) and np.array_equal(read[2], two[2])
    assert packs.dataset_of("b") == "one" and packs.dataset_of("c") == "two" and len(packs) == 5 and "z" not in packs
    with pytest.raises(UserError, match="image 'z' is in no pack"):
        packs.read(["a", "z"])


def test_packs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    good = write_pack(tmp_path / "good", ["a"], np.stack(squares(1)))
    with pytest.raises(UserError, match="another data set has too"):
        PackedImages([good, write_pack(tmp_path / "same", ["a"], np.stack(squares(1)))])
    with pytest.raises(UserError, match=r"names row 1, pixels\.npy has 1"):
        PackedImages([write_pack(tmp_path / "short", ["a", "b"], np.stack(squares(1)))])
    with pytest.raises(UserError, match="expected uint8"):
        PackedImages([write_pack(tmp_path / "float", ["a"], np.zeros((1, 4, 4)))])
    with pytest.raises(UserError, match=r"not a whole \.npy array"):
        PackedImages([write_pack(tmp_path / "pickled", ["a"], np.array([{"a": 1}], dtype=object))])
    (good / "pixels.npy").unlink()
    with pytest.raises(UserError, match="no such file"):
        PackedImages([good])


def draw(
    images: list[np.ndarray], settings: Augmentation, seed: int = 0, epoch: int = 0, tower: ImageTower = TOWER
) -> np.ndarray:
    ids = id_hashes([str(number) for number in range(len(images))])
    return augment(images, settings, tower, seed, ids, np.full(len(images), epoch))


def test_no_change_is_only_standardising() -> None:
    images = squares(4)
    expected = (np.stack(images)[:, None] / 255 - 0.5) / 0.25
    np.testing.assert_allclose(plain(images, TOWER), expected, atol=1e-6)
    np.testing.assert_allclose(draw(images, NONE), expected, atol=1e-6)


def test_augmentation_depends_on_seed_epoch_and_id_alone() -> None:
    images, settings = squares(6), Augmentation(noise=0.1, gamma=0.2)
    whole = draw(images, settings)
    assert np.array_equal(whole, draw(images, settings))
    ids = id_hashes([str(number) for number in range(6)])[[4, 1]]
    some = augment([images[4], images[1]], settings, TOWER, 0, ids, np.zeros(2, np.int64))
    assert np.array_equal(some, whole[[4, 1]])
    assert not np.allclose(whole, draw(images, settings, epoch=1)) and not np.allclose(
        whole, draw(images, settings, seed=1)
    )


def test_rotation_and_shift_move_what_is_drawn_by_no_more_than_asked() -> None:
    image = np.zeros((101, 101), np.uint8)
    image[48:53, 78:83] = 255  # 30 pixels right of the middle
    tower = ImageTower(size=101, mean=0, std=1)
    rows, columns = np.mgrid[:101, :101] - 50.0

    def centres(settings: Augmentation) -> np.ndarray:
        out = draw([image] * 40, settings, tower=tower)[:, 0]
        return np.array([[(rows * one).sum(), (columns * one).sum()] / one.sum() for one in out])

    turned = centres(NONE.model_copy(update={"rotate": 10.0}))
    angle = np.rad2deg(np.arctan2(turned[:, 0], turned[:, 1]))
    assert 7 < np.abs(angle).max() <= 10.3 and angle.min() < 0 < angle.max()
    np.testing.assert_allclose(np.hypot(*turned.T), 30, atol=0.5)
    shifted = centres(NONE.model_copy(update={"translate": 0.1})) - [0, 30]
    assert 7 < np.abs(shifted).max() <= 10.2
    zoomed = centres(NONE.model_copy(update={"scale": (0.8, 1.2)}))[:, 1] / 30
    assert 0.79 < zoomed.min() < 0.87 and 1.13 < zoomed.max() < 1.21


def test_flip_is_off_unless_asked_for() -> None:
    image = np.zeros((24, 24), np.uint8)
    image[:, 12:] = 255
    flipped = draw([image] * 40, NONE.model_copy(update={"flip": True}))[:, 0, :, :12].mean(axis=(1, 2))
    assert 10 <= (flipped > 0).sum() <= 30
    assert (draw([image] * 40, NONE)[:, 0, :, :12] < 0).all()


def test_another_size_keeps_the_middle_in_the_middle() -> None:
    image = np.zeros((90, 90), np.uint8)
    image[30:60, 30:60] = 255
    for out in (plain([image], TOWER)[0, 0], draw([image], NONE)[0, 0]):
        np.testing.assert_allclose(out, out[::-1, ::-1], atol=1e-5)
        assert out.shape == (24, 24) and out[12, 12] == 2.0 and out[0, 0] == -2.0


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_prefetch_keeps_the_order_and_raises_in_its_place(workers: int) -> None:
    assert list(prefetch(lambda step: step * step, 3, 40, workers)) == [step * step for step in range(3, 40)]

    def fail(step: int) -> int:
        if step == 5:
            raise UserError("bad sample")
        return step

    batches = prefetch(fail, 0, 9, workers)
    assert [next(batches) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="bad sample"):
        next(batches)
