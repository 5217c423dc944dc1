"""Size of the image inside a compressed DICOM frame, read before it is decoded: it need not be what the file says."""

from __future__ import annotations

import struct

from mmclip.data.image_header import BadImage

_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
"""Start-of-frame markers of JPEG (ITU T.81, table B.1), and that of JPEG-LS (ITU T.87)."""
_SIZE = b"\xff\x51"


def jpeg_size(frame: bytes) -> tuple[int, int, int, int]:
    """Height, width, components and bits of a JPEG or JPEG-LS frame.

    Raises:
        BadImage: broken_header.
    """
    at = 2
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _FRAMES:
            bits, height, width, components = struct.unpack_from(">BHHB", frame, at + 4)
            return height, width, components, bits
        else:
            at += 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    raise BadImage("broken_header")


def jpeg2000_size(frame: bytes) -> tuple[int, int, int, int]:
    """Height, width, components and bits of a JPEG 2000 codestream, bare or in a JP2 file (ITU T.800, A.5.1).

    Raises:
        BadImage: broken_header.
    """
    start = frame.find(b"\xff\x4f" + _SIZE, 0, 4096)
    if start < 0 or start + 43 > len(frame):
        raise BadImage("broken_header")
    width, height, left, top, tile_width, tile_height = struct.unpack_from(">6I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    tiles = -(-width // tile_width) * -(-height // tile_height) if tile_width and tile_height else 0
    if not 0 < tiles <= _TILES:
        raise BadImage("broken_header")
    return height - top, width - left, components, (depth & 0x7F) + 1


_TILES = 65_535
"""As many as JPEG 2000 can number."""
