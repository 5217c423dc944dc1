"""Decoders and the letterbox, against exact averaging and on broken files."""

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.imaging import PackSettings
from mmclip.data.image_header import BadImage
from mmclip.imaging.decode import decode
from mmclip.imaging.letterbox import fit, letterbox, place
from mmclip.imaging.tone import Gray

SETTINGS = PackSettings(size=64)


def film(height: int, width: int, seed: int = 0) -> Gray:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (height // 64 + 2, width // 64 + 2)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(pixels: Gray) -> bytes:
    gray = np.ascontiguousarray(pixels[..., None])
    return bytes(simplejpeg.encode_jpeg(gray, 95, colorspace="GRAY", colorsubsampling="Gray"))


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def grey_of(data: bytes) -> Gray:
    image = decode(data, SETTINGS)
    return np.asarray(image.pixels if image.tone is None else image.tone.show(image.pixels)[0])


def test_png_is_exact() -> None:
    pixels = film(50, 70)
    assert np.array_equal(grey_of(png(pixels)), pixels)


def test_colour_becomes_gray() -> None:
    pixels = film(50, 70)
    colour = np.repeat(pixels[..., None], 3, axis=2)
    assert np.array_equal(grey_of(png(colour)), pixels)
    encoded = bytes(simplejpeg.encode_jpeg(colour, 95))
    assert np.abs(grey_of(encoded).astype(int) - pixels).mean() < 3
    with_alpha = np.dstack([colour, np.full((50, 70), 255, np.uint8)])
    assert np.array_equal(grey_of(png(with_alpha)), pixels)


def test_sixteen_bits_are_windowed() -> None:
    pixels = np.linspace(1000, 3000, 10_000).astype(np.uint16).reshape(100, 100)
    pixels[0, 0], pixels[0, 1] = 65535, 0  # a burnt-in marker and a dead pixel
    eight = grey_of(png(pixels))
    assert eight.dtype == np.uint8
    assert np.abs(eight[1:].astype(float) - (pixels[1:] - 1000.0) / 2000 * 255).max() < 2
    nearly = np.full((100, 100), 500, np.uint16)
    nearly[4, 4] = 900
    assert grey_of(png(nearly)).max() == 255


@pytest.mark.parametrize(("edge", "size"), [(2500, 256), (1024, 256), (1024, 512), (700, 256), (512, 256)])
def test_reduced_decoding_is_near_exact_averaging(edge: int, size: int) -> None:
    data = jpeg(film(edge, edge * 4 // 5))
    full = simplejpeg.decode_jpeg(data, "GRAY")[..., 0]
    image = decode(data, PackSettings(size=size))
    assert (image.header.height, image.header.width) == full.shape
    reduction = {2500: 4, 1024: 1024 // size // 2, 700: 1, 512: 1}[edge]
    assert image.pixels.shape == tuple(-(-side // reduction) for side in full.shape)
    placement = place(image.header.width, image.header.height, size)
    exact = fit(full, placement, size).astype(int)
    assert np.abs(fit(image.pixels, placement, size) - exact).mean() < 0.8


JPEG, PNG = jpeg(film(60, 80)), png(film(60, 80))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"FINDINGS: clear", "not_an_image"),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:-2], "truncated"),
        (PNG[: len(PNG) // 2], "truncated"),
        (PNG[:-12], "truncated"),
        (PNG[:60] + bytes([PNG[60] ^ 255]) + PNG[61:], "undecodable"),
        (JPEG[:20], "broken_header"),
    ],
)
def test_broken_files(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        decode(data, SETTINGS)


def test_a_bomb_is_not_decoded() -> None:
    at = JPEG.index(b"\xff\xc0") + 5
    with pytest.raises(BadImage, match="too_many_pixels"):
        decode(JPEG[:at] + b"\xff\xff\xff\xff" + JPEG[at + 4 :], SETTINGS)
    with pytest.raises(BadImage, match="too_many_pixels"):
        decode(PNG, PackSettings(pixel_limit=60 * 80 - 1))


@given(st.integers(0, len(JPEG) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_pixels_or_a_reason(at: int, value: int) -> None:
    data = JPEG[:at] + bytes([value]) + JPEG[at + 1 :]
    try:
        image = decode(data, PackSettings(size=64, pixel_limit=1_000_000))
    except BadImage as bad:
        assert bad.reason
    else:
        assert image.pixels.dtype == np.uint8


def boxed(pixels: Gray, size: int) -> Gray:
    placement = place(pixels.shape[1], pixels.shape[0], size)
    return letterbox(fit(pixels, placement, size), placement, size)


def test_letterbox_of_a_known_image() -> None:
    pixels = np.array([[0, 40, 80, 120], [20, 60, 100, 140]], np.uint8)
    placement = place(4, 2, 2)
    assert (placement.scale, placement.offset_x, placement.offset_y) == (0.5, 0, 0)
    assert boxed(pixels, 2).tolist() == [[30, 110], [0, 0]]


def test_the_index_maps_points_into_the_square() -> None:
    pixels = np.zeros((300, 200), np.uint8)
    pixels[30:60, 100:150] = 255
    placement = place(200, 300, 96)
    square = boxed(pixels, 96)
    rows, columns = np.nonzero(square > 127)
    expected = [
        100 * placement.scale + placement.offset_x,
        150 * placement.scale + placement.offset_x,
        30 * placement.scale + placement.offset_y,
        60 * placement.scale + placement.offset_y,
    ]
    found = [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]
    assert np.abs(np.array(found) - expected).max() <= 0.6


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([16, 33, 64]))
def test_letterbox_keeps_shape_and_mean(height: int, width: int, size: int) -> None:
    placement = place(width, height, size)
    square = boxed(np.full((height, width), 200, np.uint8), size)
    assert square.shape == (size, size)
    filled = square > 0
    assert set(np.unique(square)) <= {0, 200}
    assert filled.any(axis=0).sum() in (max(1, round(width * placement.scale)), size)
    assert max(filled.any(axis=0).sum(), filled.any(axis=1).sum()) == size


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (512, 256))
    square = boxed(stripes, 64)
    assert np.abs(square.astype(int) - 127.5).max() <= 1


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint16, np.int32, np.uint32])
def test_values_of_every_type_are_averaged(kind: type) -> None:
    top = np.iinfo(kind)
    pixels = np.array([[top.max, top.min], [top.max, top.min]], kind)
    assert abs(float(fit(pixels, place(2, 2, 1), 1)[0, 0]) - (int(top.max) + int(top.min)) / 2) <= 1


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_deep_films_are_halved_first_and_nearly_the_same(kind: type) -> None:
    pixels = (film(1528, 1272).astype(np.int64) * 16).astype(kind)
    placement = place(1272, 1528, 128)
    exact = cv2.resize(pixels, (107, 128), interpolation=cv2.INTER_AREA)
    difference = np.abs(fit(pixels, placement, 128).astype(float) - exact) / 16
    assert 0 < difference.mean() < 0.1 and difference.max() < 1
    odd = pixels[:-1]
    exact = cv2.resize(odd, (107, 128), interpolation=cv2.INTER_AREA)
    assert np.array_equal(fit(odd, place(1272, 1527, 128), 128), exact)
