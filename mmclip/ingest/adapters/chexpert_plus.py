"""CheXpert Plus: CheXpert's images with their reports, as PNG or DICOM.

Layout (Stanford AIMI; folders of the images from public code that reads them)::

    df_chexpert_plus_240401.csv   path_to_image, path_to_dcm, frontal_lateral, ap_pa, deid_patient_id, report,
                                  section_findings, section_impression, ..., split (train, valid)
    PNG/PNG/train/patient42142/study5/view1_frontal.png    (or PNG/train/...; path_to_image ends in .jpg)
    DICOM/train/patient42142/study5/view1_frontal.dcm      (from memory, unverified)
    chexbert_labels/impression_fixed.json                  one JSON object a line: path_to_image and 14 labels

The sections are those of the table; where it has neither findings nor impression, the whole report is split like any
other. Labels are read where they are there, and are CheXbert's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mmclip.config.ingest import ChexpertPlusSource
from mmclip.errors import UserError
from mmclip.ingest.files import optional_file, read_lines, read_rows, require_file, state_of
from mmclip.ingest.records import Collection, Image, Labels, Record, Terms
from mmclip.ingest.splits import official
from mmclip.ingest.views import frontal_or_lateral
from mmclip.observations import OBSERVATIONS, State

TERMS = Terms(
    licence="Stanford University Dataset Research Use Agreement",
    origin="https://stanfordaimi.azurewebsites.net/datasets/5158c524-d3ab-4e02-96e9-6ee9efc110a1 (after registration)",
    share="restricted",
    forbids=(
        "commercial use",
        "giving any of it, translations of its reports included, to others",
        "trying to find out who a patient is",
    ),
)

_TABLE = "df_chexpert_plus_240401.csv"
_LABELS = "chexbert_labels/impression_fixed.json"
_COLUMNS = ("path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "report", "section_findings")
_FOLDERS = {"png": ("PNG/PNG", "PNG", ""), "dicom": ("DICOM/DICOM", "DICOM", "")}


def read(settings: ChexpertPlusSource) -> Collection:
    """One record an image; images of one study share its report.

    Raises:
        UserError: the table or the folder of images is missing, or the labels are not what they should be.
    """
    table = require_file(settings.root, _TABLE, TERMS)
    labels = optional_file(settings.root, _LABELS)
    rows = list(read_rows(table, (*_COLUMNS, "section_impression", "split"), TERMS))
    given = _read_labels(labels) if labels else {}
    return Collection(
        records=_records(rows, given, settings),
        terms=TERMS,
        image_root=_image_root(settings),
        report_root=settings.root,
        files=(table, *([labels] if labels else [])),
        version="240401",
        counts={"labels_without_row": len(given.keys() - {row["path_to_image"] for row in rows})},
    )


def _image_root(settings: ChexpertPlusSource) -> Path:
    for name in _FOLDERS[settings.images]:
        if (settings.root / name / "train").is_dir() or (settings.root / name / "valid").is_dir():
            return settings.root / name
    places = " or ".join(f"{name}/train".removeprefix("/") for name in _FOLDERS[settings.images])
    raise UserError(f"{settings.root}: no folder {places}; images come from {TERMS.origin}")


def _records(
    rows: list[dict[str, str]], labels: dict[str, dict[str, State]], settings: ChexpertPlusSource
) -> Iterator[Record]:
    for number, row in enumerate(rows, start=2):
        path = PurePosixPath(row["path_to_image"])
        if len(path.parts) < 4:
            raise UserError(f"{settings.root / _TABLE}: row {number}: path_to_image {str(path)!r} names no study")
        split, folder, study, _ = path.parts[-4:]
        file = PurePosixPath(*path.parts[-4:]).with_suffix(".png" if settings.images == "png" else ".dcm")
        states = labels.get(row["path_to_image"], {})
        yield Record(
            study_id=f"{folder}/{study}",
            patient_id=row["deid_patient_id"] or folder,
            images=(Image(str(file), view=frontal_or_lateral(row["frontal_lateral"], row["ap_pa"])),),
            text=_plain(row["report"]),
            findings=_plain(row["section_findings"]),
            impression=_plain(row["section_impression"]),
            split=official(row["split"] or split),
            labels=(Labels("official:chexpert", states),) if states else (),
            where=f"row {number}",
        )


def _plain(text: str) -> str:
    r"""The text with line ends for the two characters ``\n`` that some exports of the table hold."""
    return text.replace("\\n", "\n").strip()


def _read_labels(path: Path) -> dict[str, dict[str, State]]:
    out: dict[str, dict[str, State]] = {}
    for number, line in enumerate(read_lines(path, TERMS), start=1):
        try:
            row = json.loads(line)
            key = str(row["path_to_image"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: line {number}: not a JSON object with path_to_image") from error
        cells = {name: "" if row.get(name) is None else str(row[name]) for name in OBSERVATIONS}
        out[key] = {name: state_of(value, path, f"line {number}: {name}") for name, value in cells.items()}
    return out
