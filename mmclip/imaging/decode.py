"""Gray pixels of an image file: one decoder for each kind of file, chosen by the file's content.

Orientation tags are ignored, since boxes and masks refer to the pixels as they are stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from mmclip.data.image_header import BadImage, Header, Kind, read_header

Gray = NDArray[np.uint8]
Stored = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels of 8 or 16 bits, as they come from the file."""

_REDUCTIONS = (4, 2)
"""How much smaller a JPEG may be decoded, the best first. Powers of two only: at 3/8 or 5/8 the result differs from
averaging the full image by up to 1.7 grey levels in the mean, here by about 0.5 at most (films enlarged to 512 to
2,500 pixels, with noise of 4 levels, packed at 256)."""

_MARGIN = 2
"""Pixels, at least, of the decoded image for each packed one along an edge, so that averaging does the rest."""

_WINDOW = (0.1, 99.9)
"""Percentiles of a 16-bit image that become black and white; beyond them lie markers and dead pixels."""


def decode(data: bytes, size: int, pixel_limit: int) -> tuple[Gray, Header]:
    """Pixels [height, width] of a JPEG or PNG file, and its header.

    A JPEG much larger than `size`, the edge that the longer side will have, comes at half or a quarter of its size,
    which saves time. 16-bit images are windowed to 8 bits by their percentiles 0.1 and 99.9.

    Raises:
        BadImage: empty_file, not_an_image, broken_header, too_many_pixels (before anything is decoded), truncated,
            undecodable, or constant.
    """
    header = read_header(data, pixel_limit)
    pixels = _DECODERS[header.kind](data, size, header)
    if pixels.min() == pixels.max():
        raise BadImage("constant")
    return _eight_bits(pixels), header


def _decode_jpeg(data: bytes, size: int, header: Header) -> Gray:
    longer = max(header.height, header.width)
    reduction = next((factor for factor in _REDUCTIONS if longer >= factor * _MARGIN * size), 1)
    height, width = -(-header.height // reduction), -(-header.width // reduction)
    try:
        pixels = simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width, min_factor=1)
    except ValueError as error:
        raise BadImage("truncated" if "Premature end" in str(error) else "undecodable") from error
    return np.asarray(pixels[..., 0], dtype=np.uint8)


def _decode_png(data: bytes, size: int, header: Header) -> Stored:
    _check_chunks(data)
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or pixels.shape != (header.height, header.width):
        raise BadImage("undecodable")
    if pixels.dtype == np.uint16:
        return np.asarray(pixels, dtype=np.uint16)
    return np.asarray(pixels, dtype=np.uint8)


_DECODERS: dict[Kind, Callable[[bytes, int, Header], Stored]] = {
    "jpeg": _decode_jpeg,
    "png": _decode_png,
}


def _check_chunks(data: bytes) -> None:
    """Every chunk of a PNG is whole and has the right checksum, up to IEND; the decoder itself forgives much."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            raise BadImage("truncated")
        if zlib.crc32(memoryview(data)[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise BadImage("undecodable")
        if name == b"IEND":
            return
        at = end + 4
    raise BadImage("truncated")


def _eight_bits(pixels: Stored) -> Gray:
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    low, high = np.percentile(pixels, _WINDOW)
    if low == high:  # nearly all pixels are equal: the few others decide
        low, high = pixels.min(), pixels.max()
    scaled = (pixels.astype(np.float32) - np.float32(low)) * np.float32(255 / (float(high) - float(low)))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)
