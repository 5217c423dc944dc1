"""PadChest (BIMCV, Alicante): Spanish reports and 16-bit PNG.

Layout (columns from memory and from public code that reads them)::

    PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv   (or .csv.gz)
        ImageID, ImageDir, StudyID, PatientID, Projection, Report, MethodLabel, Labels, ...
    0/ ... 54/<ImageID>    (each from its zip; or all images in one folder, images/ or the root)

The published reports are normalised already: lower case, words cut to their stems, most accents and signs gone. Texts
are therefore unlike any that a hospital writes; the card's note says so, and only the Spanish rules written for stems
read them. `Labels` is a list in Python's notation, of findings that are stated (``normal``, ``pleural effusion``,
...); a finding that is not listed is not mentioned, never absent. ``exclude`` and ``unchanged`` say nothing about the
image.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmclip.config.ingest import PadchestSource
from mmclip.ingest.files import read_rows, require_file
from mmclip.ingest.records import Collection, Image, Labels, Record, Skip, Terms
from mmclip.ingest.views import view_of
from mmclip.observations import NO_FINDING, SUPPORT_DEVICES, State

TERMS = Terms(
    licence="PadChest Dataset Research Use Agreement (BIMCV)",
    origin="https://bimcv.cipf.es/bimcv-projects/padchest",
    share="restricted",
    forbids=(
        "commercial use",
        "giving any of it, translations included, to others",
        "trying to find out who a patient is",
    ),
)

NOTE = "reports are published as stems: lower case, inflections and most accents cut off"

_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
_COLUMNS = ("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report", "Labels")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_NO_FINDING_WORDS = {"exclude", "unchanged", "suboptimal study"}

_OBSERVATIONS: dict[str, str] = {
    "normal": NO_FINDING,
    "cardiomegaly": "Cardiomegaly",
    "mediastinal enlargement": "Enlarged Cardiomediastinum",
    "superior mediastinal enlargement": "Enlarged Cardiomediastinum",
    "atelectasis": "Atelectasis",
    "laminar atelectasis": "Atelectasis",
    "lobar atelectasis": "Atelectasis",
    "segmental atelectasis": "Atelectasis",
    "round atelectasis": "Atelectasis",
    "total atelectasis": "Atelectasis",
    "consolidation": "Consolidation",
    "pulmonary edema": "Edema",
    "pneumonia": "Pneumonia",
    "atypical pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
    "hydropneumothorax": "Pneumothorax",
    "pleural effusion": "Pleural Effusion",
    "loculated pleural effusion": "Pleural Effusion",
    "loculated fissural effusion": "Pleural Effusion",
    "pleural thickening": "Pleural Other",
    "apical pleural thickening": "Pleural Other",
    "calcified pleural thickening": "Pleural Other",
    "calcified pleural plaques": "Pleural Other",
    "pleural plaques": "Pleural Other",
    "infiltrates": "Lung Opacity",
    "alveolar pattern": "Lung Opacity",
    "interstitial pattern": "Lung Opacity",
    "ground glass pattern": "Lung Opacity",
    "increased density": "Lung Opacity",
    "nodule": "Lung Lesion",
    "multiple nodules": "Lung Lesion",
    "pulmonary mass": "Lung Lesion",
    "mass": "Lung Lesion",
    "cavitation": "Lung Lesion",
    "rib fracture": "Fracture",
    "callus rib fracture": "Fracture",
    "clavicle fracture": "Fracture",
    "humeral fracture": "Fracture",
    "vertebral fracture": "Fracture",
    "fracture": "Fracture",
    "pacemaker": SUPPORT_DEVICES,
    "single chamber device": SUPPORT_DEVICES,
    "dual chamber device": SUPPORT_DEVICES,
    "central venous catheter": SUPPORT_DEVICES,
    "central venous catheter via jugular vein": SUPPORT_DEVICES,
    "central venous catheter via subclavian vein": SUPPORT_DEVICES,
    "catheter": SUPPORT_DEVICES,
    "NSG tube": SUPPORT_DEVICES,
    "endotracheal tube": SUPPORT_DEVICES,
    "tracheostomy tube": SUPPORT_DEVICES,
    "chest drain tube": SUPPORT_DEVICES,
    "metal": SUPPORT_DEVICES,
    "osteosynthesis material": SUPPORT_DEVICES,
    "suture material": SUPPORT_DEVICES,
    "sternotomy": SUPPORT_DEVICES,
}
"""PadChest's findings -> observation; ours. All labels are also kept in PadChest's own words."""


def read(settings: PadchestSource) -> Collection:
    """One record an image; images of one study share its report and labels.

    Raises:
        UserError: the table is missing, has other columns, or is not whole.
    """
    table = require_file(settings.root, _TABLE, TERMS)
    images = settings.root / "images"
    root = images if images.is_dir() else settings.root
    methods: Counter[str] = Counter()
    counts: dict[str, Any] = {"labels_by": methods}
    return Collection(
        records=_records(table, root, methods),
        terms=TERMS,
        image_root=root,
        report_root=settings.root,
        files=(table,),
        version="01.02.19",
        note=NOTE,
        counts=counts,
    )


def _records(table: Path, root: Path, methods: Counter[str]) -> Iterator[Record | Skip]:
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    for number, row in enumerate(read_rows(table, _COLUMNS, TERMS), start=2):
        if not row["StudyID"] or not row["PatientID"]:
            yield Skip(row["ImageID"] or f"row {number}", "empty_id" if not row["StudyID"] else "empty_patient")
            continue
        methods[row.get("MethodLabel", "") or "unknown"] += 1
        states, own = _labels(row["Labels"])
        folder = row["ImageDir"].removesuffix(".0")
        path = f"{folder}/{row['ImageID']}" if folder in folders else row["ImageID"]
        yield Record(
            study_id=row["StudyID"],
            patient_id=row["PatientID"],
            images=(Image(path, id=row["ImageID"], view=view_of(row["Projection"])),),
            findings="" if row["Report"].lower() == "nan" else row["Report"],
            language="spa_Latn",
            labels=(Labels("file", states),) if states else (),
            own_labels=own,
            where=f"row {number}",
        )


def _labels(cell: str) -> tuple[dict[str, State], dict[str, State]]:
    """The observations that a list of findings states, and all its findings in their own words."""
    names = {(single or double).strip() for single, double in _QUOTED.findall(cell)} - {""} - _NO_FINDING_WORDS
    own: dict[str, State] = dict.fromkeys(sorted(names), 1)
    states: dict[str, State] = {_OBSERVATIONS[name]: 1 for name in own if name in _OBSERVATIONS}
    return states, own
