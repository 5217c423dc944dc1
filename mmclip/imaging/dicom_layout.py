"""How the frames of a DICOM file are stored (PS3.3, C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmclip.data import dicom
from mmclip.data.dicom import Elements
from mmclip.data.image_header import BadImage

_WIDTHS = {8: "u1", 16: "u2", 32: "u4"}


@dataclass(frozen=True)
class Layout:
    """How a frame is stored."""

    height: int
    width: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    bits: int
    high: int
    signed: bool
    planar: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(_WIDTHS[self.allocated])

    @property
    def frame_bytes(self) -> int:
        subsampled = self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")
        return self.height * self.width * (2 if subsampled else self.samples) * self.allocated // 8


def read_layout(elements: Elements) -> Layout:
    """The layout of a file, with defaults for what is missing.

    Raises:
        BadImage: unsupported_pixels or broken_header.
        KeyError, ValueError: an element without default is missing, or is no number.
    """
    allocated = elements.integer(dicom.BITS_ALLOCATED)
    bits = elements.integer(dicom.BITS_STORED, allocated)
    layout = Layout(
        height=elements.integer(dicom.ROWS),
        width=elements.integer(dicom.COLUMNS),
        frames=int(elements.text(dicom.FRAMES) or 1),
        samples=elements.integer(dicom.SAMPLES, 1),
        photometric=elements.text(dicom.PHOTOMETRIC) or "MONOCHROME2",
        allocated=allocated,
        bits=bits,
        high=elements.integer(dicom.HIGH_BIT, bits - 1),
        signed=elements.integer(dicom.SIGNED, 0) == 1,
        planar=elements.integer(dicom.PLANAR, 0) == 1,
    )
    grey = layout.samples == 1 and layout.photometric in ("MONOCHROME1", "MONOCHROME2")
    colour = layout.samples == 3 and layout.photometric.startswith(("RGB", "YBR"))
    if not (grey or colour) or layout.allocated not in _WIDTHS:
        raise BadImage("unsupported_pixels")
    if not 0 < layout.bits <= layout.high + 1 <= layout.allocated:
        raise BadImage("broken_header")
    return layout
