"""The data elements of a DICOM file, up to its pixels (DICOM PS3.5, sections 7 and 10, and annex A).

Nothing is decoded here, and everything is bounded: the number of elements, how deep sequences go, and what a deflated
file may unpack to. Only the elements that size, view and grey levels depend on are kept.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

TRANSFER_SYNTAX = 0x0002_0010
VIEW_POSITION = 0x0018_5101
SAMPLES = 0x0028_0002
PHOTOMETRIC = 0x0028_0004
PLANAR = 0x0028_0006
FRAMES = 0x0028_0008
ROWS = 0x0028_0010
COLUMNS = 0x0028_0011
BITS_ALLOCATED = 0x0028_0100
BITS_STORED = 0x0028_0101
HIGH_BIT = 0x0028_0102
SIGNED = 0x0028_0103
PADDING = 0x0028_0120
PADDING_END = 0x0028_0121
BURNED_IN = 0x0028_0301
WINDOW_CENTER = 0x0028_1050
WINDOW_WIDTH = 0x0028_1051
RESCALE_INTERCEPT = 0x0028_1052
RESCALE_SLOPE = 0x0028_1053
WINDOW_FUNCTION = 0x0028_1056
MODALITY_LUT = 0x0028_3000
LUT_DESCRIPTOR = 0x0028_3002
LUT_DATA = 0x0028_3006
VOI_LUT = 0x0028_3010
PIXELS = 0x7FE0_0010

IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

UNDEFINED = 0xFFFF_FFFF
"""The length of what ends by a delimiter."""

_WANTED = frozenset((
    VIEW_POSITION, SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS, BITS_ALLOCATED, BITS_STORED, HIGH_BIT, SIGNED,
    PADDING, PADDING_END, BURNED_IN, WINDOW_CENTER, WINDOW_WIDTH, RESCALE_INTERCEPT, RESCALE_SLOPE, WINDOW_FUNCTION,
    LUT_DESCRIPTOR, LUT_DATA,
))  # fmt: skip
_SEQUENCES = frozenset((MODALITY_LUT, VOI_LUT))
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""Value representations with two reserved bytes and a length of four (PS3.5, table 7.1-1)."""
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_ELEMENTS = 100_000
"""Elements in front of the pixels, those inside sequences included; a radiograph has about a hundred."""
_DEPTH = 16
_HEADER = 4 * 2**20
"""Bytes that a deflated file may have in front of its pixels."""


@dataclass(frozen=True)
class Elements:
    """What stands in front of the pixels, and where these are.

    Attributes:
        syntax: the transfer syntax.
        order: byte order of values, ``<`` or ``>``.
        values: bytes of the elements kept, by tag.
        items: of the look-up table sequences, by tag: the elements kept of each item.
        data: the bytes that hold the pixels: the file, or what its data set unpacks to.
        start: where in `data` the value of Pixel Data starts; None where there is none.
        length: of that value; :data:`UNDEFINED` where it is a sequence of fragments.
        words: whether it is written in words of two bytes, which matters to 8-bit pixels in big-endian files.
    """

    syntax: str
    order: str
    data: bytes
    values: dict[int, bytes] = field(default_factory=dict)
    items: dict[int, list[dict[int, bytes]]] = field(default_factory=dict)
    start: int | None = None
    length: int = 0
    words: bool = False

    def text(self, tag: int) -> str:
        """A value as text, without padding; empty where there is none."""
        return self.values.get(tag, b"").decode("latin-1").strip("\0 ")

    def decimal(self, tag: int) -> float | None:
        """The first number of a value that is written in digits; None where there is none."""
        try:
            return float(self.text(tag).partition("\\")[0])
        except ValueError:
            return None

    def integer(self, tag: int, default: int | None = None) -> int:
        """A value of two bytes.

        Raises:
            KeyError: it is not there, or empty, and there is no default.
        """
        value = self.values.get(tag, b"")
        if len(value) < 2:
            if default is None:
                raise KeyError(tag)
            return default
        return int(struct.unpack_from(f"{self.order}H", value)[0])


def is_dicom(data: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file (PS3.10, section 7.1), and of no executable beside."""
    return data[128:132] == b"DICM" and not data.startswith((b"MZ", b"\x7fELF"))


def read_elements(data: bytes, pixel_bytes: int = 0) -> Elements:
    """The elements of a DICOM file.

    Args:
        pixel_bytes: how much of a deflated file to unpack beyond the elements in front of the pixels.

    Raises:
        ValueError: the file is not built as DICOM says, or not whole.
    """
    try:
        return _read(data, pixel_bytes)
    except (struct.error, zlib.error) as error:
        raise ValueError("not whole") from error


def _read(data: bytes, pixel_bytes: int) -> Elements:
    reader = _Reader(data, 132, "<", explicit=True)
    syntax = ""
    while reader.group() == 0x0002:
        tag, _, length = reader.head()
        value = reader.take(length)
        if tag == TRANSFER_SYNTAX:
            syntax = value.decode("latin-1").strip("\0 ")
    at = reader.at
    if syntax == DEFLATED:
        data, at = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[at:], _HEADER + pixel_bytes), 0
    order = ">" if syntax == BIG_ENDIAN else "<"
    # Some writers declare explicit value representations and write none.
    explicit = syntax != IMPLICIT and data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper()
    reader = _Reader(data, at, order, explicit)
    found: dict[int, bytes] = {}
    items: dict[int, list[dict[int, bytes]]] = {}
    while (reader.peek() or PIXELS + 1) <= PIXELS:
        tag, representation, length = reader.head()
        if tag == PIXELS:
            return Elements(syntax, order, data, found, items, reader.at, length, representation == b"OW")
        if tag in _SEQUENCES:
            items[tag] = reader.items(representation, length)
        else:
            value = reader.value(representation, length)
            if tag in _WANTED:
                found[tag] = value
    return Elements(syntax, order, data, found, items)


class _Reader:
    """Reads data elements one after the other."""

    def __init__(self, data: bytes, at: int, order: str, explicit: bool) -> None:
        self.data, self.at, self.order, self.explicit = data, at, order, explicit
        self._left = _ELEMENTS

    def peek(self) -> int | None:
        """The next element's tag; None at the end."""
        if self.at + 8 > len(self.data):
            return None
        group, number = struct.unpack_from(f"{self.order}HH", self.data, self.at)
        return int(group << 16 | number)

    def group(self) -> int | None:
        """The group of the next element; None at the end."""
        tag = self.peek()
        return None if tag is None else tag >> 16

    def head(self) -> tuple[int, bytes, int]:
        """Tag, value representation (empty where it is implicit) and length of the next element."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many elements")
        group, number = struct.unpack_from(f"{self.order}HH", self.data, self.at)
        self.at += 4
        representation = b""
        if self.explicit and group != 0xFFFE:
            representation = self.data[self.at : self.at + 2]
            if representation not in _LONG:
                (length,) = struct.unpack_from(f"{self.order}H", self.data, self.at + 2)
                self.at += 4
                return group << 16 | number, representation, length
            self.at += 4
        (length,) = struct.unpack_from(f"{self.order}L", self.data, self.at)
        self.at += 4
        return group << 16 | number, representation, length

    def take(self, length: int) -> bytes:
        """The next bytes, as many as there are."""
        value = self.data[self.at : self.at + length]
        self.at += length
        return value

    def value(self, representation: bytes, length: int, depth: int = 0) -> bytes:
        """The value of an element; a sequence that ends by a delimiter is passed over."""
        if length != UNDEFINED:
            return self.take(length)
        self.items(representation, length, depth)
        return b""

    def items(self, representation: bytes, length: int, depth: int = 0) -> list[dict[int, bytes]]:
        """The elements kept of each item of a sequence."""
        if depth > _DEPTH:
            raise ValueError("sequences within sequences")
        end = len(self.data) if length == UNDEFINED else min(self.at + length, len(self.data))
        outside, self.explicit = self.explicit, self.explicit and representation != b"UN"  # PS3.5, section 6.2.2
        found = []
        while self.at + 8 <= end:
            tag, _, size = self.head()
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise ValueError("no item where one is due")
            found.append(self._item(size, end, depth))
        self.explicit = outside
        return found

    def _item(self, size: int, end: int, depth: int) -> dict[int, bytes]:
        stop = end if size == UNDEFINED else min(self.at + size, end)
        kept: dict[int, bytes] = {}
        while self.at + 8 <= stop:
            tag, representation, length = self.head()
            if tag == _ITEM_END:
                break
            value = self.value(representation, length, depth + 1)
            if tag in _WANTED:
                kept[tag] = value
        return kept
