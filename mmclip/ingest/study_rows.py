"""Rows of the tables from what is known of a study and its images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mmclip.ingest.image_files import ImageFile
from mmclip.ingest.records import Box, Image, Labels, Mask, Record
from mmclip.ingest.report_text import StudyText
from mmclip.observations import OBSERVATIONS, State, column

Row = dict[str, object]


def study_row(record: Record, text: StudyText, split: str, name: str) -> Row:
    """The row of the studies table; `name` is the data set's."""
    return {
        "study_id": record.study_id,
        "patient_id": record.patient_id,
        "language": record.language,
        "findings": text.findings or None,
        "impression": text.impression or None,
        "text": text.text,
        "split": split,
        "source": name,
    }


def image_row(image_id: str, image: Image, file: ImageFile, record: Record, split: str) -> Row:
    """The row of the images table; the view is the data set's, or else what the file's header states."""
    return {
        "image_id": image_id,
        "study_id": record.study_id,
        "patient_id": record.patient_id,
        "path": str(file.path),
        "view": file.view if image.view == "UNKNOWN" else image.view,
        "width": file.width,
        "height": file.height,
        "split": split,
        "sha256": file.sha256,
    }


def label_row(identity: str, kind: str, labels: Iterable[Labels]) -> list[Row]:
    """A row of the labels table for each source that says anything."""
    return [
        {
            "id": identity,
            "kind": kind,
            "label_source": label.source,
            **{column(name): label.states.get(name) for name in OBSERVATIONS},
        }
        for label in labels
        if any(state is not None for state in label.states.values())
    ]


def own_label_rows(identity: str, kind: str, states: Mapping[str, State]) -> list[Row]:
    """Rows of the data set's own words."""
    stated = {name: state for name, state in states.items() if state is not None}
    return [{"id": identity, "kind": kind, "name": name, "state": state} for name, state in stated.items()]


def box_rows(image_id: str, boxes: Iterable[Box]) -> list[Row]:
    """Rows of the boxes table."""
    return [
        {
            "image_id": image_id,
            "observation": box.observation,
            "x": box.x,
            "y": box.y,
            "width": box.width,
            "height": box.height,
        }
        for box in boxes
    ]


def mask_rows(image_id: str, masks: Iterable[Mask], file: ImageFile) -> list[Row]:
    """Rows of the masks table, of those masks that have the image's size."""
    return [
        {
            "image_id": image_id,
            "observation": mask.observation,
            "width": mask.width,
            "height": mask.height,
            "runs": list(mask.runs),
        }
        for mask in masks
        if (mask.width, mask.height) == (file.width, file.height)
    ]
