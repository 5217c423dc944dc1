"""The SIIM-ACR Pneumothorax Segmentation challenge (2019): DICOM images with run-length masks.

Layout, as Kaggle and its mirrors publish it::

    train-rle.csv (or stage_2_train.csv)   ImageId, EncodedPixels (with a blank before the name in stage 1)
    dicom-images-train/<study>/<series>/<ImageId>.dcm    (one folder level or none in some mirrors)

A mask is written as pairs of a gap, counted from the end of the run before, and a length, down the columns of an image
of 1024 x 1024; -1 means that there is no pneumothorax, which is a reading and so absent. An image that several people
marked has several rows; their union is kept. Like RSNA's, the images are NIH ChestX-ray14's, and no patient ids are
published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmclip.config.ingest import SiimPneumothoraxSource
from mmclip.errors import UserError
from mmclip.ingest.files import optional_file, read_rows, require_file, require_folder
from mmclip.ingest.records import Collection, Image, Labels, Mask, Record, Terms
from mmclip.tables.runs import encode_runs

TERMS = Terms(
    licence="Kaggle competition rules (SIIM-ACR)",
    origin="https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation",
    share="restricted",
    forbids=("commercial use", "giving the data to others"),
)

NOTE = "images of NIH ChestX-ray14 under other names: do not train on that set and test on this one"

_TABLES = ("stage_2_train.csv", "train-rle.csv")
_IMAGES = "dicom-images-train"
_EDGE = 1024


def read(settings: SiimPneumothoraxSource) -> Collection:
    """One record an image that has a row.

    Raises:
        UserError: the table or the images are missing, or a mask does not fit its image.
    """
    table = optional_file(settings.root, _TABLES[0]) or require_file(settings.root, _TABLES[1], TERMS)
    folder = require_folder(settings.root, _IMAGES, TERMS)
    places = {file.stem: file for file in sorted(folder.rglob("*.dcm"))}
    rows: dict[str, list[str]] = defaultdict(list)
    for row in read_rows(table, ("ImageId", "EncodedPixels"), TERMS):
        rows[row["ImageId"]].append(row["EncodedPixels"])
    return Collection(
        records=_records(rows, places, table, settings.root),
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=(table,),
        version="stage 2" if table.name == _TABLES[0] else "stage 1",
        note=NOTE,
        counts={"images_without_row": len(places.keys() - rows.keys())},
    )


def _records(rows: dict[str, list[str]], places: dict[str, Path], table: Path, root: Path) -> Iterator[Record]:
    for identity, codes in rows.items():
        marked = [code for code in codes if code not in ("-1", "")]
        if any(not code for code in codes):
            raise UserError(f"{table}: {identity}: EncodedPixels is empty; expected run lengths or -1")
        file = places.get(identity)
        image = Image(
            file.relative_to(root).as_posix() if file else f"{_IMAGES}/{identity}.dcm",
            id=identity,
            labels=(Labels("file", {"Pneumothorax": int(bool(marked))}),),
            masks=(_mask(marked, table, identity),) if marked else (),
        )
        yield Record(identity, identity, images=(image,))


def _mask(codes: list[str], table: Path, identity: str) -> Mask:
    united = np.zeros((_EDGE, _EDGE), bool)
    for code in codes:
        try:
            united |= decode(code, _EDGE, _EDGE)
        except ValueError as error:
            raise UserError(f"{table}: {identity}: EncodedPixels: {error}") from error
    return Mask("Pneumothorax", _EDGE, _EDGE, tuple(encode_runs(united)))


def decode(code: str, width: int, height: int) -> NDArray[np.bool_]:
    """The mask [height, width] of a challenge's code.

    Raises:
        ValueError: it is no list of pairs of whole numbers, or reaches beyond the image.
    """
    numbers = [int(word) for word in code.split()]
    if len(numbers) % 2 or min(numbers, default=0) < 0:
        raise ValueError("expected pairs of a gap and a length")
    flat = np.zeros(width * height, bool)
    at = 0
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        start, at = at + gap, at + gap + length
        if at > flat.size:
            raise ValueError(f"runs reach {at} pixels, the image has {flat.size}")
        flat[start:at] = True
    return flat.reshape(width, height).T
