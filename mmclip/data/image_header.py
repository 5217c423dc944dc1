"""What an image file is, by its first bytes, before anything is decoded.

The kind follows from the content, never from the name. Orientation tags are ignored: boxes and masks refer to the
pixels as they are stored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Kind = Literal["jpeg", "png"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's start-of-frame markers (ITU T.81, table B.1): all of SOF0 to SOF15 but DHT, JPG and DAC."""
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}
"""JPEG markers without a length: RST0 to RST7 and TEM."""


class BadImage(Exception):
    """An image that cannot be used.

    Attributes:
        reason: empty_file, not_an_image, broken_header, too_many_pixels, truncated, undecodable or constant.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """Kind, size in pixels, and bits of one sample."""

    kind: Kind
    width: int
    height: int
    bits: int


def read_header(data: bytes, pixel_limit: int) -> Header:
    """The header of a JPEG or PNG file.

    Raises:
        BadImage: empty_file, not_an_image, broken_header, or too_many_pixels.
    """
    if not data:
        raise BadImage("empty_file")
    if data.startswith(_JPEG):
        header = _jpeg(data)
    elif data.startswith(_PNG):
        header = _png(data)
    else:
        raise BadImage("not_an_image")
    if header.width == 0 or header.height == 0:
        raise BadImage("broken_header")
    if header.width * header.height > pixel_limit:
        raise BadImage("too_many_pixels")
    return header


def _jpeg(data: bytes) -> Header:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:  # a fill byte, or a marker that stands alone
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            bits, height, width = struct.unpack_from(">BHH", data, at + 4)
            return Header("jpeg", width, height, bits)
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise BadImage("broken_header")


def _png(data: bytes) -> Header:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise BadImage("broken_header")
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    return Header("png", width, height, bits)
