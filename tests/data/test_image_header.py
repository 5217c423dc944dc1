"""Headers of image files, good and hostile."""

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st

from mmclip.data.image_header import BadImage, Header, read_header

LIMIT = 128_000_000


def jpeg(height: int = 40, width: int = 60) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 1), dtype=np.uint8)
    return bytes(simplejpeg.encode_jpeg(pixels, colorspace="GRAY", colorsubsampling="Gray"))


def png(dtype: type = np.uint8) -> bytes:
    return bytes(cv2.imencode(".png", np.arange(2400, dtype=dtype).reshape(40, 60))[1])


def with_size(data: bytes, height: int, width: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]


def test_good_headers() -> None:
    assert read_header(jpeg(), LIMIT) == Header("jpeg", 60, 40, 8)
    assert read_header(png(), LIMIT) == Header("png", 60, 40, 8)
    assert read_header(png(np.uint16), LIMIT) == Header("png", 60, 40, 16)


def test_colour_and_progressive_jpeg() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    assert read_header(bytes(encoded), LIMIT) == Header("jpeg", 60, 40, 8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"FINDINGS: clear", "not_an_image"),
        (b"\0" * 200, "not_an_image"),
        (b"GIF89a" + b"\0" * 20, "not_an_image"),
        (b"\x7fELF" + b"\0" * 124 + b"DICM", "not_an_image"),
        (jpeg()[:20], "broken_header"),
        (b"\xff\xd8\xff\xe0", "broken_header"),
        (png()[:20], "broken_header"),
        (with_size(jpeg(), 65535, 65535), "too_many_pixels"),
        (with_size(jpeg(), 0, 60), "broken_header"),
        (png()[:16] + b"\xff" * 8 + png()[24:], "too_many_pixels"),
    ],
)
def test_bad_headers(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        read_header(data, LIMIT)


def test_limit_is_inclusive() -> None:
    assert read_header(jpeg(), 2400).width == 60
    with pytest.raises(BadImage, match="too_many_pixels"):
        read_header(jpeg(), 2399)


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", jpeg()[:30], b""]), st.binary(max_size=200))
def test_any_bytes_give_a_header_or_a_reason(start: bytes, rest: bytes) -> None:
    try:
        header = read_header(start + rest, LIMIT)
    except BadImage as bad:
        assert bad.reason
    else:
        assert 0 < header.width * header.height <= LIMIT
