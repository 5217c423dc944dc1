"""Pixels of an image file as they are stored: one decoder for each kind of file, chosen by the file's content.

Orientation tags are ignored, since boxes and masks refer to the pixels as they are stored.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmclip.config.imaging import PackSettings
from mmclip.data.image_header import BadImage, Header, read_header
from mmclip.imaging.dicom import decode_dicom
from mmclip.imaging.jpeg import decode_jpeg
from mmclip.imaging.tone import Tone

Stored = NDArray[Any]
"""Values as they come from the file: 8, 16 or 32 bits, signed or not."""


@dataclass(frozen=True)
class Decoded:
    """An image's stored values [height, width], perhaps at half or a quarter of the header's size.

    Attributes:
        tone: how to show them; None where they are grey levels already.
    """

    pixels: Stored
    header: Header
    tone: Tone | None


def decode(data: bytes, settings: PackSettings) -> Decoded:
    """The pixels of a JPEG, PNG or DICOM file.

    Raises:
        BadImage: with the reason; of what the header tells before anything is decoded.
    """
    header = read_header(data, settings.pixel_limit)
    if header.burned_in and settings.burned_in == "skip":
        raise BadImage("burned_in_annotation")
    if header.frames > 1 and settings.multi_frame == "skip":
        raise BadImage("several_frames")
    if header.kind == "dicom":
        pixels, tone = decode_dicom(data, settings.size)
        return Decoded(pixels, header, tone)
    if header.kind == "jpeg":
        grey = decode_jpeg(data, settings.size, header.height, header.width)
        return Decoded(grey, header, None)
    pixels = _decode_png(data, header)
    return Decoded(pixels, header, None if pixels.dtype == np.uint8 else Tone())


def _decode_png(data: bytes, header: Header) -> Stored:
    _check_chunks(data)
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise BadImage("undecodable") from error
    if pixels is None or pixels.shape != (header.height, header.width):
        raise BadImage("undecodable")
    return np.asarray(pixels)


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
