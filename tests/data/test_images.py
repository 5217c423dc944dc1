"""Packed pixels and their augmentation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmclip.config.augmentation import Augmentation
from mmclip.data.augment import augment, plain
from mmclip.data.packed import PackedImages
from mmclip.data.prefetch import prefetch
from mmclip.data.randomness import id_hashes
from mmclip.errors import UserError
from mmclip.tables.files import write_table
from mmclip.tables.imaging import INDEX

NONE = Augmentation(name="none")


def write_pack(folder: Path, ids: list[str], pixels: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    row = {
        "shard": 0,
        "frames": 1,
        "width": 9,
        "height": 9,
        "scale": 1.0,
        "offset_x": 0.0,
        "offset_y": 0.0,
        "sha256": "",
    }
    rows: list[dict[str, object]] = [{"image_id": name, "row": number, **row} for number, name in enumerate(ids)]
    write_table(INDEX.frame(rows), folder / "index.parquet", INDEX)
    np.save(folder / "pixels-00000.npy", pixels)
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
    with pytest.raises(UserError, match=r"names row 1, pixels-00000\.npy has 1"):
        PackedImages([write_pack(tmp_path / "short", ["a", "b"], np.stack(squares(1)))])
    with pytest.raises(UserError, match="expected uint8"):
        PackedImages([write_pack(tmp_path / "float", ["a"], np.zeros((1, 4, 4)))])
    with pytest.raises(UserError, match=r"not a whole \.npy array"):
        PackedImages([write_pack(tmp_path / "pickled", ["a"], np.array([{"a": 1}], dtype=object))])
    (good / "pixels-00000.npy").unlink()
    with pytest.raises(UserError, match="no such file"):
        PackedImages([good])


def draw(images: list[np.ndarray], settings: Augmentation, seed: int = 0, epoch: int = 0, size: int = 24) -> np.ndarray:
    ids = id_hashes([str(number) for number in range(len(images))])
    return augment(images, settings, size, seed, ids, np.full(len(images), epoch))


def test_no_change_is_the_image() -> None:
    images = squares(4)
    expected = np.stack(images)[:, None]
    assert np.array_equal(plain(images, 24), expected) and np.array_equal(draw(images, NONE), expected)


@pytest.mark.parametrize("settings", [Augmentation(noise=0.1, gamma=0.2, shear=5), Augmentation(name="paper")])
def test_augmentation_depends_on_seed_epoch_and_id_alone(settings: Augmentation) -> None:
    images = squares(6)
    whole = draw(images, settings)
    assert whole.dtype == np.uint8 and np.array_equal(whole, draw(images, settings))
    ids = id_hashes([str(number) for number in range(6)])
    some = augment([images[4], images[1]], settings, 24, 0, ids[[4, 1]], np.zeros(2, np.int64))
    assert np.array_equal(some, whole[[4, 1]])
    other_way = augment(images, settings, 24, 0, ids, np.zeros(6, np.int64), order=[5, 0, 3, 1, 2, 4])
    assert np.array_equal(other_way, whole)
    assert (whole != draw(images, settings, epoch=1)).mean() > 0.5 and (
        whole != draw(images, settings, seed=1)
    ).mean() > 0.5


def test_threads_do_not_matter() -> None:
    images, settings = squares(32), Augmentation(noise=0.1)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda epoch: draw(images, settings, epoch=epoch), range(8)))
    assert all(np.array_equal(one, draw(images, settings, epoch=epoch)) for epoch, one in enumerate(made))


def test_noise_has_the_deviation_asked_for() -> None:
    grey = [np.full((224, 224), 128, np.uint8)] * 60
    noisy = draw(grey, NONE.model_copy(update={"noise": 0.05}), size=224).astype(float) - 128
    deviation = noisy.std(axis=(1, 2, 3)) / 255
    assert deviation.max() <= 0.0505 and deviation.max() > 0.045 and deviation.min() < 0.01
    assert np.abs(noisy.mean(axis=(1, 2, 3))).max() < 0.5


def test_levels_change_as_asked() -> None:
    ramp = np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)
    brighter = draw([ramp] * 200, NONE.model_copy(update={"brightness": 0.2}), size=32).reshape(200, -1)[:, 4 * 128]
    assert 128 * 0.8 - 1 <= brighter.min() < 107 and 150 < brighter.max() <= 128 * 1.2 + 1
    contrast = draw([ramp] * 200, NONE.model_copy(update={"contrast": 0.2}), size=32).reshape(200, -1)
    assert np.abs(contrast[:, 4 * 127].astype(int) - 127).max() <= 1 and contrast[:, 4 * 64].max() > 74
    gamma = draw([ramp] * 200, NONE.model_copy(update={"gamma": 0.3}), size=32).reshape(200, -1)
    assert (gamma[:, 0] == 0).all() and (gamma[:, -1] == 255).all() and gamma[:, 4 * 128].std() > 5


def test_without_gamma_the_levels_are_those_of_the_table() -> None:
    ramp = [np.arange(256, dtype=np.uint8).repeat(4).reshape(32, 32)] * 300
    settings = NONE.model_copy(update={"brightness": 0.5, "contrast": 0.5})
    nearly = settings.model_copy(update={"gamma": 1e-9})
    difference = draw(ramp, settings, size=32).astype(int) - draw(ramp, nearly, size=32)
    assert np.abs(difference).max() <= 1 and np.count_nonzero(difference) < 0.001 * difference.size


def test_a_named_set_fills_what_is_not_given() -> None:
    paper = Augmentation(name="paper")
    assert paper.flip and paper.crop == 224 / 256 and paper.rotate == 10 and paper.scale == (0.8, 1.1)
    assert not Augmentation(name="paper", flip=False).flip
    assert Augmentation() == Augmentation(name="chest") and not Augmentation().flip
    assert Augmentation(name="none", rotate=3).rotate == 3 and Augmentation(name="none", rotate=3).brightness == 0


def test_a_crop_shows_a_part_of_its_size_at_every_place() -> None:
    rows, columns = np.mgrid[:128, :128]
    ramp = columns.astype(np.uint8) * 2
    out = draw([ramp] * 200, NONE.model_copy(update={"crop": 0.5}), size=64).astype(float)[:, 0]
    spans = (out[:, 32, -1] - out[:, 32, 0]) / 2
    assert np.abs(spans - 63).max() <= 1.5
    starts = out[:, 32, 0] / 2
    assert starts.min() < 3 and starts.max() > 61
    assert rows.shape == ramp.shape


def test_shear_moves_rows_sideways_and_keeps_their_height() -> None:
    image = np.zeros((101, 101), np.uint8)
    image[18:23, 48:53] = 255  # 30 pixels above the middle
    out = draw([image] * 60, NONE.model_copy(update={"shear": 20.0}), size=101)[:, 0].astype(float)
    rows, columns = np.mgrid[:101, :101] - 50.0
    down = np.array([(rows * one).sum() / one.sum() for one in out])
    side = np.array([(columns * one).sum() / one.sum() for one in out])
    assert np.abs(down + 30).max() < 0.6 and 8 < np.abs(side).max() <= 30 * np.tan(np.deg2rad(20)) + 0.5


def test_rotation_and_shift_move_what_is_drawn_by_no_more_than_asked() -> None:
    image = np.zeros((101, 101), np.uint8)
    image[48:53, 78:83] = 255  # 30 pixels right of the middle
    rows, columns = np.mgrid[:101, :101] - 50.0

    def centres(settings: Augmentation) -> np.ndarray:
        out = draw([image] * 40, settings, size=101)[:, 0].astype(float)
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
    assert (draw([image] * 40, NONE)[:, 0, :, :12] == 0).all()


def test_another_size_keeps_the_middle_in_the_middle() -> None:
    image = np.zeros((90, 90), np.uint8)
    image[30:60, 30:60] = 255
    for out in (plain([image], 24)[0, 0], draw([image], NONE)[0, 0]):
        assert np.abs(out.astype(int) - out[::-1, ::-1]).max() <= 1
        assert out.shape == (24, 24) and out[12, 12] == 255 and out[0, 0] == 0


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
