"""The RSNA Pneumonia Detection Challenge (2018), stage 2: DICOM images with boxes by radiologists.

Layout, as Kaggle and RSNA publish it::

    stage_2_train_labels.csv          patientId, x, y, width, height, Target: one row a box; empty where Target is 0
    stage_2_detailed_class_info.csv   patientId, class: Normal, No Lung Opacity / Not Normal, Lung Opacity
    stage_2_train_images/<patientId>.dcm
    pneumonia-challenge-dataset-mappings_2018.json   of RSNA, if it is there: subset_img_id (a patientId), img_id

The images are some of NIH ChestX-ray14's under new names, and `patientId` names an image, not a patient: a model that
saw NIH's training images has seen some of these patients. RSNA's mapping to NIH's files tells the patients; without it
every image counts as one. The test images of the challenge have no labels and are not read. There is no official split.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mmclip.config.ingest import RsnaPneumoniaSource
from mmclip.errors import UserError
from mmclip.ingest.files import number_of, optional_file, read_rows, require_file, require_folder
from mmclip.ingest.records import Box, Collection, Image, Labels, Record, Terms
from mmclip.observations import NO_FINDING, State

TERMS = Terms(
    licence="Kaggle competition rules and RSNA's terms (academic, non-commercial)",
    origin="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge (stage 2)",
    share="restricted",
    forbids=("commercial use", "giving the data to others"),
)

NOTE = "images of NIH ChestX-ray14 under other names: do not train on that set and test on this one"

_LABELS, _CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
_IMAGES = "stage_2_train_images"
_MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"

_STATES: dict[str, dict[str, State]] = {
    "Normal": {NO_FINDING: 1, "Lung Opacity": 0, "Pneumonia": 0},
    "No Lung Opacity / Not Normal": {"Lung Opacity": 0, "Pneumonia": 0},
    "Lung Opacity": {"Lung Opacity": 1, "Pneumonia": 1},
}
"""Radiologists looked for opacities that suggest pneumonia, so that 0 here is absent; other observations are open."""


def read(settings: RsnaPneumoniaSource) -> Collection:
    """One record an image.

    Raises:
        UserError: a file is missing, a class is unknown, or classes and targets contradict each other.
    """
    labels, classes = (require_file(settings.root, name, TERMS) for name in (_LABELS, _CLASSES))
    require_folder(settings.root, _IMAGES, TERMS)
    mapping = optional_file(settings.root, _MAPPING)
    return Collection(
        records=_records(settings, _patients(mapping) if mapping else {}),
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=(labels, classes, *([mapping] if mapping else [])),
        version="stage 2",
        note=NOTE if mapping else f"{NOTE}; images count as patients",
    )


def _patients(mapping: Path) -> dict[str, str]:
    """Image -> NIH's number of the patient, which its file's name there begins with (``00009689_001.png``)."""
    try:
        rows = json.loads(mapping.read_text(encoding="utf-8"))
        return {row["subset_img_id"]: str(int(row["img_id"].split("_")[0])) for row in rows}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{mapping}: not RSNA's list of subset_img_id and img_id; get it again from RSNA") from error


def _records(settings: RsnaPneumoniaSource, patients: dict[str, str]) -> Iterator[Record]:
    classes_file = require_file(settings.root, _CLASSES, TERMS)
    classes = {row["patientId"]: row["class"] for row in read_rows(classes_file, ("patientId", "class"), TERMS)}
    labels_file = require_file(settings.root, _LABELS, TERMS)
    boxes: dict[str, list[Box]] = defaultdict(list)
    targets: dict[str, bool] = {}
    for row in read_rows(labels_file, ("patientId", "x", "y", "width", "height", "Target"), TERMS):
        identity = row["patientId"]
        targets[identity] = row["Target"] == "1" or targets.get(identity, False)
        if row["Target"] == "1":
            try:
                x, y, width, height = (number_of(row[name]) for name in ("x", "y", "width", "height"))
            except ValueError as error:
                raise UserError(f"{labels_file}: {identity}: Target is 1 without four numbers of a box") from error
            boxes[identity].append(Box("Pneumonia", x, y, width, height))
    for identity, target in targets.items():
        name = classes.get(identity, "Lung Opacity" if target else "No Lung Opacity / Not Normal")
        if name not in _STATES:
            raise UserError(f"{classes_file}: {identity}: class {name!r}; known: {', '.join(_STATES)}")
        if (name == "Lung Opacity") != target:
            raise UserError(f"{classes_file}: {identity}: class {name!r}, but Target {int(target)} in {_LABELS}")
        image = Image(
            f"{_IMAGES}/{identity}.dcm",
            id=identity,
            labels=(Labels("file", _STATES[name]),),
            boxes=tuple(boxes[identity]),
        )
        yield Record(identity, patients.get(identity, identity), images=(image,))
