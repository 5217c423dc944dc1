"""How a DICOM file wants its stored values to be shown (PS3.3, C.7.6.3.1.2, C.11.1 and C.11.2)."""

from __future__ import annotations

import struct
from typing import get_args

import numpy as np

from mmclip.data import dicom
from mmclip.data.dicom import Elements
from mmclip.imaging.dicom_layout import Layout
from mmclip.imaging.tone import Function, Table, Tone, Window


def read_tone(elements: Elements, layout: Layout) -> Tone:
    """The tone of a file; of colour the luminance is shown as it is."""
    if layout.samples == 3:
        return Tone(levels=2**layout.bits - 1)
    slope, intercept = elements.decimal(dicom.RESCALE_SLOPE), elements.decimal(dicom.RESCALE_INTERCEPT)
    slope = 1.0 if not slope or not np.isfinite(slope) else slope
    intercept = 0.0 if intercept is None or not np.isfinite(intercept) else intercept
    rescale = _table(elements, dicom.MODALITY_LUT, layout.signed)
    shown = layout.bits <= 8 and not layout.signed and (slope, intercept, rescale) == (1, 0, None)
    return Tone(
        slope=slope,
        intercept=intercept,
        rescale=rescale,
        window=_window(elements),
        table=_table(elements, dicom.VOI_LUT, layout.signed),
        inverted=layout.photometric == "MONOCHROME1",
        levels=2**layout.bits - 1 if shown else None,
    )


def _window(elements: Elements) -> Window | None:
    center, width = elements.decimal(dicom.WINDOW_CENTER), elements.decimal(dicom.WINDOW_WIDTH)
    if center is None or width is None or not np.isfinite((center, width)).all():
        return None
    named = elements.text(dicom.WINDOW_FUNCTION).upper()
    function: Function = next((known for known in get_args(Function) if known == named), "LINEAR")
    if width < 1 and (function == "LINEAR" or width <= 0):
        return None
    return Window(center, width, function)


def _table(elements: Elements, sequence: int, signed: bool) -> Table | None:
    """The first look-up table of a sequence (PS3.3, C.11.1.1.1 and C.11.2.1.1); None where there is none."""
    item = next(iter(elements.items.get(sequence, ())), {})
    descriptor, entries = item.get(dicom.LUT_DESCRIPTOR, b""), item.get(dicom.LUT_DATA, b"")
    if len(descriptor) < 6 or not entries:
        return None
    count, first, bits = struct.unpack_from(f"{elements.order}H{'h' if signed else 'H'}H", descriptor)
    count = count or 65536
    narrow = bits <= 8 and len(entries) < 2 * count  # one byte each
    values = np.frombuffer(entries[: len(entries) // 2 * 2], np.dtype("u1" if narrow else f"{elements.order}u2"))
    if not 0 < bits <= 16 or not len(values):
        return None
    return Table(first, values[:count].astype(np.uint16), bits)
