"""VinDr-CXR of PhysioNet, version 1.0.0: DICOM images with labels and boxes by radiologists.

Layout, as PhysioNet publishes it::

    annotations/image_labels_train.csv   image_id, rad_id, and 28 labels (0 or 1): a row for each of three readers
    annotations/image_labels_test.csv    image_id and labels, by consensus; "Other disease" for "Other diseases"
    annotations/annotations_train.csv    image_id, rad_id, class_name, x_min, y_min, x_max, y_max
    annotations/annotations_test.csv     the same without rad_id
    train/<image_id>.dicom, test/<image_id>.dicom

Of three readers, two or more make a label present, none absent, and a single one uncertain: ours, as is the choice of
columns that an observation stands for. Every reader's boxes are kept. No patient ids are published, so that images
count as patients; the official split is honoured, and train is divided into train and val by the image's hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mmclip.config.ingest import VindrCxrSource
from mmclip.errors import UserError
from mmclip.ingest.files import number_of, read_rows, require_file, require_folder
from mmclip.ingest.records import Box, Collection, Image, Labels, Record, Terms
from mmclip.ingest.splits import train_or_val
from mmclip.observations import ABSENT, NO_FINDING, PRESENT, UNCERTAIN, State

TERMS = Terms(
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    origin="https://physionet.org/content/vindr-cxr/1.0.0",
    share="restricted",
    forbids=(
        "giving any of it to somebody who has not signed the agreement",
        "trying to find out who a patient is",
    ),
)

_OBSERVATIONS: dict[str, str] = {
    "No finding": NO_FINDING,
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Infiltration": "Lung Opacity",
    "Lung Opacity": "Lung Opacity",
    "Lung cavity": "Lung Lesion",
    "Nodule/Mass": "Lung Lesion",
    "Lung tumor": "Lung Lesion",
    "Pleural effusion": "Pleural Effusion",
    "Pleural thickening": "Pleural Other",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Rib fracture": "Fracture",
    "Clavicle fracture": "Fracture",
}
"""VinDr's labels -> observation; ours. The others are kept in their own words."""

_ORDER = {PRESENT: 2, UNCERTAIN: 1, ABSENT: 0}


def read(settings: VindrCxrSource) -> Collection:
    """One record an image, train before test.

    Raises:
        UserError: a file or folder is missing, or a cell is no number.
    """
    files: list[Path] = []
    records: list[Record] = []
    for split in ("train", "test"):
        labels, boxes = (
            require_file(settings.root, f"annotations/{name}_{split}.csv", TERMS)
            for name in ("image_labels", "annotations")
        )
        require_folder(settings.root, split, TERMS)
        files += [labels, boxes]
        records += _records(labels, _boxes(boxes), split, settings)
    return Collection(
        records=records,
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=tuple(files),
        version="1.0.0",
    )


def _records(path: Path, boxes: dict[str, list[Box]], split: str, settings: VindrCxrSource) -> Iterator[Record]:
    votes: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(path, ("image_id", "No finding"), TERMS):
        votes[row["image_id"]].append(row)
    for identity, rows in votes.items():
        own = {name: _agreed([row[name] for row in rows], path, identity) for name in rows[0] if name not in _KEYS}
        states: dict[str, State] = {}
        for name, state in own.items():
            observation = _OBSERVATIONS.get(name)
            if observation is not None:
                states[observation] = max(state, states.get(observation, state), key=lambda one: _ORDER[one or 0])
        image = Image(
            f"{split}/{identity}.dicom",
            id=identity,
            labels=(Labels("file", states),),
            own_labels={name.replace("Other diseases", "Other disease"): state for name, state in own.items()},
            boxes=tuple(boxes.get(identity, ())),
        )
        chosen = "test" if split == "test" else train_or_val(identity, settings.splits)
        yield Record(identity, identity, images=(image,), split=chosen)


_KEYS = ("image_id", "rad_id", "rad_ID")


def _agreed(cells: list[str], path: Path, identity: str) -> State:
    """What the readers of an image agree on; of a single one, or a consensus, what it says."""
    try:
        marks = [float(cell) for cell in cells]
    except ValueError as error:
        raise UserError(f"{path}: {identity}: a label is 0 or 1, found {cells!r}") from error
    positive = sum(mark == 1 for mark in marks)
    if not positive:
        return ABSENT
    return PRESENT if positive >= 2 or len(marks) == 1 else UNCERTAIN


def _boxes(path: Path) -> dict[str, list[Box]]:
    out: dict[str, list[Box]] = defaultdict(list)
    for row in read_rows(path, ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max"), TERMS):
        if not row["x_min"]:  # an image without findings
            continue
        try:
            left, top, right, bottom = (number_of(row[name]) for name in ("x_min", "y_min", "x_max", "y_max"))
        except ValueError as error:
            raise UserError(f"{path}: {row['image_id']}: a box needs four numbers") from error
        name = _OBSERVATIONS.get(row["class_name"], row["class_name"])
        out[row["image_id"]].append(Box(name, left, top, right - left, bottom - top))
    return out
