"""What an image file is, by its first bytes, before anything is decoded.

The kind follows from the content, never from the name. Orientation tags are ignored: boxes and masks refer to the
pixels as they are stored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from mmclip.data.dicom import (
    BITS_STORED,
    BURNED_IN,
    COLUMNS,
    FRAMES,
    ROWS,
    VIEW_POSITION,
    Elements,
    is_dicom,
    read_elements,
)

Kind = Literal["jpeg", "png", "dicom"]

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's start-of-frame markers (ITU T.81, table B.1): all of SOF0 to SOF15 but DHT, JPG and DAC."""
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}
"""JPEG markers without a length: RST0 to RST7 and TEM."""


class BadImage(Exception):
    """An image that cannot be used.

    Attributes:
        reason: empty_file, not_an_image, broken_header, too_many_pixels, truncated, undecodable or constant; of DICOM
            also burned_in_annotation, several_frames, no_pixels, unsupported_pixels or unknown_transfer_syntax.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """Kind, size in pixels, and bits of one sample.

    Attributes:
        frames: of a DICOM file; 1 elsewhere.
        view: View Position of a DICOM file as it is written; empty where there is none.
        burned_in: whether a DICOM file says that its pixels hold text about the patient.
    """

    kind: Kind
    width: int
    height: int
    bits: int
    frames: int = 1
    view: str = ""
    burned_in: bool = False


def read_header(data: bytes, pixel_limit: int) -> Header:
    """The header of a JPEG, PNG or DICOM file.

    Args:
        pixel_limit: of width x height x frames.

    Raises:
        BadImage: empty_file, not_an_image, broken_header, or too_many_pixels.
    """
    if not data:
        raise BadImage("empty_file")
    if data.startswith(_JPEG):
        header = _jpeg(data)
    elif data.startswith(_PNG):
        header = _png(data)
    elif is_dicom(data):
        header = _dicom(data)
    else:
        raise BadImage("not_an_image")
    if min(header.width, header.height, header.frames) <= 0:
        raise BadImage("broken_header")
    if header.width * header.height * header.frames > pixel_limit:
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


def _dicom(data: bytes) -> Header:
    try:
        return dicom_header(read_elements(data))
    except (KeyError, ValueError) as error:
        raise BadImage("broken_header") from error


def dicom_header(elements: Elements) -> Header:
    """The header of a DICOM file whose elements are read.

    Raises:
        KeyError, ValueError: rows or columns are missing, or a number is none.
    """
    return Header(
        kind="dicom",
        width=elements.integer(COLUMNS),
        height=elements.integer(ROWS),
        bits=elements.integer(BITS_STORED, 0),
        frames=int(elements.text(FRAMES) or 1),
        view=elements.text(VIEW_POSITION),
        burned_in=elements.text(BURNED_IN).upper() == "YES",
    )
