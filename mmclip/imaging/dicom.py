"""Stored values of a DICOM file's image, and how they are to be shown.

Uncompressed pixels are used where they lie in the file. Of several frames the first is taken, and of a colour image
its luminance.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from mmclip.data import dicom
from mmclip.data.dicom import UNDEFINED, Elements, read_elements
from mmclip.data.image_header import BadImage
from mmclip.imaging.codestream import jpeg2000_size, jpeg_size
from mmclip.imaging.dicom_layout import Layout, read_layout
from mmclip.imaging.dicom_tone import read_tone
from mmclip.imaging.jpeg import decode_jpeg
from mmclip.imaging.tone import Tone

Stored = NDArray[Any]

_RAW = frozenset((dicom.IMPLICIT, "1.2.840.10008.1.2.1", dicom.DEFLATED, dicom.BIG_ENDIAN))
_RLE = "1.2.840.10008.1.2.5"
_LOSSY_JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51))
_JPEG = _LOSSY_JPEG | {f"1.2.840.10008.1.2.4.{number}" for number in (57, 70)}
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (80, 81))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))
_LUMA = np.array((0.299, 0.587, 0.114))
"""Of red, green and blue (ITU-R BT.601)."""
_FRAGMENTS = 1_000_000


def decode_dicom(data: bytes, size: int) -> tuple[Stored, Tone]:
    """Stored values [height, width] of the first frame, and how to show them; nothing above the bits stored is left.

    Args:
        data: a file whose header was found good, so that its size is bounded.
        size: the edge that the longer side will have; 8-bit JPEG comes smaller where it is much larger.

    Raises:
        BadImage: no_pixels, unsupported_pixels, unknown_transfer_syntax, broken_header, truncated or undecodable.
    """
    try:
        elements = read_elements(data)
        layout = read_layout(elements)
        if elements.syntax == dicom.DEFLATED:
            elements = read_elements(data, layout.frame_bytes)
        stored = _without_padding(_meaningful(_frame(elements, layout, size), layout), elements, layout)
        return stored, read_tone(elements, layout)
    except (KeyError, ValueError, struct.error) as error:
        raise BadImage("broken_header") from error


def _frame(elements: Elements, layout: Layout, size: int) -> Stored:
    """The first frame as it is stored; of colour its luminance."""
    if elements.start is None:
        raise BadImage("no_pixels")
    if elements.syntax in _RAW:
        return _raw(elements, layout)
    frame = first_frame(elements, layout.frames)
    if elements.syntax == _RLE:
        return _run_lengths(frame, layout)
    for syntaxes, read_size, decode in _CODECS:
        if elements.syntax in syntaxes:
            found = read_size(frame)
            if (found[:3]) != (layout.height, layout.width, layout.samples) or found[3] > layout.allocated:
                raise BadImage("broken_header")
            if elements.syntax in _LOSSY_JPEG and found[3] == 8:
                return decode_jpeg(frame, size, layout.height, layout.width)
            return _decoded(frame, layout, decode)
    raise BadImage("unknown_transfer_syntax")


def _raw(elements: Elements, layout: Layout) -> Stored:
    if elements.start is None or elements.start + layout.frame_bytes > len(elements.data):
        raise BadImage("truncated")
    count = layout.frame_bytes // layout.dtype.itemsize
    if elements.order == ">" and elements.words and layout.allocated == 8:
        padded = elements.data[elements.start : elements.start + count + count % 2]
        values = np.frombuffer(padded, "u2").byteswap().view("u1")[:count]
    else:
        values = np.frombuffer(elements.data, f"{elements.order}{layout.dtype.str[1:]}", count, elements.start)
    if elements.order == ">" or not values.flags.aligned:
        values = values.astype(layout.dtype)
    if layout.frame_bytes != layout.height * layout.width * layout.samples * layout.dtype.itemsize:
        return values.reshape(-1, 4)[:, :2].reshape(layout.height, layout.width)  # Y Y Cb Cr
    if layout.samples == 1:
        return values.reshape(layout.height, layout.width)
    if layout.planar:
        return _luminance(values.reshape(layout.samples, layout.height, layout.width).transpose(1, 2, 0), layout)
    return _luminance(values.reshape(layout.height, layout.width, layout.samples), layout)


def _run_lengths(frame: bytes, layout: Layout) -> Stored:
    values = bytearray(layout.frame_bytes)
    try:
        written = imagecodecs.dicomrle_decode(frame, layout.dtype, out=values)
    except (RuntimeError, ValueError) as error:
        raise BadImage("undecodable") from error
    if len(written) != len(values):
        raise BadImage("undecodable")
    planes = np.frombuffer(values, layout.dtype).reshape(layout.samples, layout.height, layout.width)
    return planes[0] if layout.samples == 1 else _luminance(planes.transpose(1, 2, 0), layout)


def _decoded(frame: bytes, layout: Layout, decode: Callable[[bytes], Stored]) -> Stored:
    try:
        values = decode(frame)
    except (RuntimeError, ValueError, OSError) as error:  # whatever a codec raises; none is of another kind
        raise BadImage("undecodable") from error
    if values.shape[:2] != (layout.height, layout.width) or values.dtype.itemsize > 2:
        raise BadImage("undecodable")
    return values if values.ndim == 2 else _luminance(values, layout, converted=True)


def _jpeg(frame: bytes) -> Stored:
    return np.asarray(imagecodecs.jpeg8_decode(frame))


def _jpeg_2000(frame: bytes) -> Stored:
    return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=1))


_CODECS: tuple[tuple[frozenset[str], Callable[[bytes], tuple[int, int, int, int]], Callable[[bytes], Stored]], ...] = (
    (_JPEG, jpeg_size, _jpeg),
    (_JPEG_LS, jpeg_size, lambda frame: np.asarray(imagecodecs.jpegls_decode(frame))),
    (_JPEG_2000, jpeg2000_size, _jpeg_2000),
)


def _luminance(colour: Stored, layout: Layout, converted: bool = False) -> Stored:
    """Of [height, width, 3]; `converted` says that the codec has made red, green and blue of it."""
    if layout.photometric.startswith("YBR") and not converted:
        return np.ascontiguousarray(colour[..., 0])
    return np.asarray(np.rint(colour @ _LUMA).astype(colour.dtype))


def first_frame(elements: Elements, frames: int) -> bytes:
    """The bytes of the first frame of pixels that are stored as fragments (PS3.5, A.4).

    Raises:
        BadImage: truncated.
    """
    data, at, fragments, offsets = elements.data, elements.start or 0, [], b""
    if elements.length != UNDEFINED:
        raise BadImage("broken_header")
    for number in range(_FRAGMENTS):
        if at + 8 > len(data):
            break
        group, element, length = struct.unpack_from("<HHL", data, at)
        at += 8
        if (group, element) != (0xFFFE, 0xE000):
            break
        if at + length > len(data):
            raise BadImage("truncated")
        if number == 0:
            offsets = data[at : at + length]
        else:
            fragments.append((at, length))
        at += length
    if not fragments:
        raise BadImage("truncated")
    return b"".join(data[start : start + length] for start, length in _of_first(fragments, offsets, frames))


def _of_first(fragments: list[tuple[int, int]], offsets: bytes, frames: int) -> list[tuple[int, int]]:
    """The fragments of the first frame: by the offset table, or one each, or up to where the second starts."""
    if frames == 1:
        return fragments
    if len(offsets) >= 8 and len(fragments) > frames:
        (second,) = struct.unpack_from("<L", offsets, 4)
        origin = fragments[0][0] - 8
        return [fragment for fragment in fragments if fragment[0] - 8 - origin < second] or fragments[:1]
    return fragments[:1]


def _meaningful(stored: Stored, layout: Layout) -> Stored:
    """Only the bits that are stored count: above them old files keep overlays."""
    unused = layout.dtype.itemsize * 8 - layout.bits
    lift = layout.high + 1 - layout.bits
    if lift:
        stored = stored >> lift
    if layout.signed:
        width = stored.dtype.itemsize * 8
        signed = stored.view(f"i{stored.dtype.itemsize}") if stored.dtype.kind == "u" else stored
        shift = max(0, width - layout.bits)
        return (signed << shift) >> shift if shift else signed
    if stored.dtype.kind == "i":
        stored = stored.view(f"u{stored.dtype.itemsize}")
    if unused and stored.size and int(stored.max()) >> layout.bits:
        stored = stored & np.array(2**layout.bits - 1, stored.dtype)
    return stored


def _without_padding(stored: Stored, elements: Elements, layout: Layout) -> Stored:
    """Padding around the film (PS3.3, C.7.5.1.1.2) becomes the darkest value that the film has."""
    if not elements.values.get(dicom.PADDING):
        return stored
    kind = "h" if layout.signed else "H"
    (first,) = struct.unpack_from(f"{elements.order}{kind}", elements.values[dicom.PADDING])
    (last,) = struct.unpack_from(
        f"{elements.order}{kind}", elements.values.get(dicom.PADDING_END) or elements.values[dicom.PADDING]
    )
    padding = (stored >= min(first, last)) & (stored <= max(first, last))
    if not padding.any() or padding.all():
        return stored
    film = stored[~padding]
    return np.where(padding, film.max() if layout.photometric == "MONOCHROME1" else film.min(), stored)
