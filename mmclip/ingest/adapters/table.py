"""A table of the user's own: one row a study or image, columns as the settings name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmclip.config.ingest import TableSource
from mmclip.errors import UserError
from mmclip.ingest.records import Collection, Image, Labels, Record, Skip, Terms
from mmclip.ingest.source import BROKEN, LINE, read_source
from mmclip.ingest.splits import official
from mmclip.ingest.views import view_of
from mmclip.languages import LANGUAGES
from mmclip.observations import OBSERVATIONS, State, column
from mmclip.tables.user_files import read_labels

_STATES: dict[str, State] = {"": None, "1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1}


class BadRow(Exception):
    """A row that cannot be used; `reason` says why in a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read(settings: TableSource) -> Collection:
    """The rows of the table as records; several of one study id are one study with several images.

    Raises:
        UserError: the file, a folder or a column is missing, a line is broken, or the labels fit no row.
    """
    for root in (settings.image_root, settings.report_root):
        if root is not None and not root.is_dir():
            raise UserError(f"{root}: no such folder; set image_root and report_root to where the files are")
    frame = read_source(settings.file, settings.columns.named(), settings.separator, settings.encoding)
    records = list(_records(frame.iter_rows(named=True), settings))
    counts: dict[str, Any] = {}
    if settings.labels.file is not None:
        records, counts["labels_without_row"] = _labelled(records, settings)
    return Collection(
        records=records,
        terms=Terms(settings.licence, "", settings.share),
        image_root=settings.image_root or settings.file.parent,
        report_root=settings.report_root or settings.file.parent,
        files=(settings.file, *([settings.labels.file] if settings.labels.file else [])),
        version=settings.version,
        counts=counts,
        split_conflict="error",
    )


def _records(rows: Iterator[dict[str, Any]], settings: TableSource) -> Iterator[Record | Skip]:
    for cells in rows:
        try:
            yield _record(cells, settings)
        except BadRow as bad:
            yield Skip(str(cells["id"]).strip() or f"line {cells[LINE]}", bad.reason)


def _record(cells: dict[str, Any], settings: TableSource) -> Record:
    """A row as a record.

    Raises:
        BadRow: empty_id, empty_patient, wrong_encoding, unknown_language, unknown_split or bad_label.
    """
    study_id = cells["id"].strip()
    if not study_id:
        raise BadRow("empty_id")
    if any(BROKEN in value for key, value in cells.items() if key != LINE):
        raise BadRow("wrong_encoding")
    patient_id = cells["patient"].strip() if "patient" in cells else study_id
    if not patient_id:
        raise BadRow("empty_patient")
    labels = _labels(settings.labels.name, _states(cells, settings))
    of_images = settings.labels.kind == "image"
    path = cells.get("image", "").strip()
    image = Image(path, view=view_of(cells.get("view", "")), labels=labels if of_images else ())
    return Record(
        study_id=study_id,
        patient_id=patient_id,
        images=(image,) if path else (),
        text=cells.get("text"),
        findings=cells.get("findings"),
        impression=cells.get("impression"),
        report_file=cells["report"].strip() if "report" in cells else None,
        language=_language(cells, settings),
        split=_official(cells),
        labels=() if of_images else labels,
        where=f"line {cells[LINE]}",
    )


def _language(cells: dict[str, Any], settings: TableSource) -> str:
    code = str(cells.get("language", "")).strip() or settings.language
    if code not in LANGUAGES:
        raise BadRow("unknown_language")
    return code


def _official(cells: dict[str, Any]) -> str | None:
    value = cells.get("split", "").strip()
    if not value:
        return None
    found = official(value)
    if found is None:
        raise BadRow("unknown_split")
    return found


def _states(cells: dict[str, Any], settings: TableSource) -> dict[str, State]:
    values = {name: cells[f"labels.{name}"].strip() for name in settings.columns.labels}
    if any(value not in _STATES for value in values.values()):
        raise BadRow("bad_label")
    return {name: _STATES[value] for name, value in values.items()}


def _labels(source: str, states: Mapping[str, State]) -> tuple[Labels, ...]:
    """The labels of a row, if it states any."""
    return (Labels(source, states),) if any(state is not None for state in states.values()) else ()


def _labelled(records: list[Record | Skip], settings: TableSource) -> tuple[list[Record | Skip], int]:
    """The records with the labels of a file of labels, and how many of that file belong to no record."""
    given = settings.labels
    assert given.file is not None and given.id is not None  # the settings' own check
    table = read_labels(given.file, given.id, given.columns)
    known = {
        row["id"]: _labels(given.name, {name: row.get(column(name)) for name in OBSERVATIONS})
        for row in table.iter_rows(named=True)
    }
    of_images = given.kind == "image"
    used: set[str] = set()
    out: list[Record | Skip] = []
    for record in records:
        if isinstance(record, Skip):
            out.append(record)
            continue
        key = record.images[0].path if of_images and record.images else "" if of_images else record.study_id
        used.add(key)
        labels = known.get(key, ())
        if of_images:
            out.append(replace(record, images=tuple(replace(image, labels=labels) for image in record.images)))
        else:
            out.append(replace(record, labels=labels))
    unused = len(known.keys() - used)
    if used and unused == len(known):
        named = settings.columns.image if of_images else settings.columns.id
        raise UserError(
            f"{given.file}: none of its {len(known)} ids in column {given.id!r} is in column {named!r} of "
            f"{settings.file}; set labels.id and labels.kind to what both have"
        )
    return out, unused
