"""Small data sets in the published layouts, for the tests of the adapters."""

from __future__ import annotations

import csv
import gzip
import io
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import simplejpeg

from mmclip.config.ingest import parse_source
from mmclip.ingest.stage import ingest
from mmclip.tables.files import read_table
from mmclip.tables.ingest import BOXES, HELD_OUT, IMAGES, MASKS, OWN_LABELS, SKIPPED, STUDIES
from mmclip.tables.labeling import LABELS

TABLES = {
    "studies": STUDIES, "images": IMAGES, "labels": LABELS, "boxes": BOXES, "masks": MASKS, "skipped": SKIPPED,
    "own_labels": OWN_LABELS, "held_out": HELD_OUT,
}  # fmt: skip


class Tree:
    """A data set's folder, and the folder that the ingest makes of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "data"
        self.output = folder / "out" / "set"
        self.root.mkdir(parents=True)
        self._images = 0

    def write(self, name: str, content: str | bytes) -> Path:
        """A file, packed where its name says so."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return path

    def table(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]], end: str = "\n") -> Path:
        """A CSV file, with the line ends asked for."""
        text = io.StringIO()
        csv.writer(text, lineterminator=end).writerows([header, *rows])
        return self.write(name, text.getvalue())

    def image(self, name: str, width: int = 40, height: int = 30) -> Path:
        """An image of the kind that its name says; no two have the same pixels."""
        self._images += 1
        pixels = np.random.default_rng(self._images).integers(0, 255, (height, width), np.uint8)
        if name.endswith(".jpg"):
            data = bytes(simplejpeg.encode_jpeg(pixels[..., None], colorspace="GRAY", colorsubsampling="Gray"))
        elif name.endswith(".png"):
            data = bytes(cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1])
        else:
            data = dicom(pixels)
        return self.write(name, data)

    def ingest(self, kind: str, **settings: Any) -> dict[str, Any]:
        """Read it; the counts."""
        source = parse_source({"kind": kind, "root": str(self.root), **settings})
        return ingest("set", source, self.output)

    def read(self, name: str) -> pl.DataFrame:
        """A table that the ingest wrote."""
        return read_table(self.output / f"{name}.parquet", TABLES[name])

    def labels(self, source: str, *columns: str, kind: str = "study") -> dict[str, tuple[int | None, ...]]:
        """id -> states of some columns, of one source and kind."""
        rows = self.read("labels").filter(label_source=source, kind=kind)
        return {row[0]: row[1:] for row in rows.select("id", *columns).iter_rows()}


def dicom(pixels: np.ndarray, view: str = "PA", burned_in: str = "NO") -> bytes:
    """A DICOM file of explicit little-endian elements with 8-bit pixels."""
    height, width = pixels.shape

    def element(tag: tuple[int, int], kind: bytes, value: bytes) -> bytes:
        value += (b"\0" if kind in (b"UI", b"OB") else b" ") * (len(value) % 2)
        head = struct.pack("<HH2s", *tag, kind)
        return head + (struct.pack("<HL", 0, len(value)) if kind == b"OB" else struct.pack("<H", len(value))) + value

    def number(value: int) -> bytes:
        return struct.pack("<H", value)

    meta = element((2, 0x10), b"UI", b"1.2.840.10008.1.2.1")
    return b"".join([
        bytes(128), b"DICM", element((2, 0), b"UL", struct.pack("<L", len(meta))), meta,
        element((0x18, 0x5101), b"CS", view.encode()),
        element((0x28, 2), b"US", number(1)),
        element((0x28, 4), b"CS", b"MONOCHROME2"),
        element((0x28, 0x10), b"US", number(height)),
        element((0x28, 0x11), b"US", number(width)),
        element((0x28, 0x100), b"US", number(8)),
        element((0x28, 0x101), b"US", number(8)),
        element((0x28, 0x102), b"US", number(7)),
        element((0x28, 0x103), b"US", number(0)),
        element((0x28, 0x301), b"CS", burned_in.encode()),
        element((0x7FE0, 0x10), b"OB", pixels.tobytes()),
    ])  # fmt: skip
