"""Studies, images and labels from a table of the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmclip.config.ingest import TableSource
from mmclip.data.image_header import BadImage
from mmclip.errors import UserError
from mmclip.ingest.dataset import Dataset, sha256_of
from mmclip.ingest.image_files import ImageFile, inspect_all
from mmclip.ingest.rows import BadRow, Row, parse_row
from mmclip.ingest.source import LINE, read_source
from mmclip.ingest.splits import split_of
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import LABELS
from mmclip.tables.skips import Skips
from mmclip.tables.user_files import read_labels


@dataclass
class _Study:
    """The row that founded a study, the first one with a text, and its images with id and row.

    An image's id is its path below the image root.
    """

    first: Row
    text: Row
    images: list[tuple[str, Row, ImageFile]] = field(default_factory=list)


def read_table_source(name: str, settings: TableSource, output: Path) -> Dataset:
    """Read the user's table.

    Rows of one study id are one study with several images; they must agree in patient, language, split and text,
    where they give one. A row that cannot be used is skipped and counted; a study is left out when none of its rows
    can be used. A row without text is kept for its image, one without image for its text.

    Args:
        name: of the data set, for the column `source`.
        output: beside it the list of skipped rows is written when they are too many.

    Raises:
        UserError: the file or a column is missing, a line is broken, or a patient is in two official splits.
        BudgetExceeded: too many rows had to be skipped.
    """
    for root in (settings.image_root, settings.report_root):
        if root is not None and not root.is_dir():
            raise UserError(f"{root}: no such folder; set image_root and report_root to where the files are")
    frame = read_source(settings.file, settings.columns.named(), settings.separator, settings.encoding)
    skips = Skips()
    rows, unused = _labelled(_rows(frame.iter_rows(named=True), settings, skips), settings)
    studies = _studies(rows, settings, skips)
    if not rows and not skips:
        raise UserError(f"{settings.file}: holds no rows; expected one a study or image")
    skips.enforce(len(frame), settings.error_budget, output, "rows")
    splits = _splits(studies.values(), settings)
    counts = {
        "rows": len(frame),
        "skipped": skips.counts(),
        "text_from": dict(sorted(Counter(study.text.text_from for study in studies.values()).items())),
        "removed_characters": sum(study.text.removed for study in studies.values()),
        "labels_without_row": unused,
    }
    tables = {
        "studies": STUDIES.frame([_study_row(study, splits, name) for study in studies.values()]),
        "images": IMAGES.frame([row for study in studies.values() for row in _image_rows(study, splits)]),
        "labels": LABELS.frame([row for study in studies.values() for row in _label_rows(study, settings)]),
        "skipped": skips.frame(),
    }
    files = [settings.file, *([settings.labels.file] if settings.labels.file else [])]
    return Dataset(tables, counts, {file.name: sha256_of(file) for file in files})


def _rows(cells: Iterable[dict[str, object]], settings: TableSource, skips: Skips) -> list[Row]:
    rows = []
    for number in cells:
        try:
            rows.append(parse_row(number, settings))
        except BadRow as bad:
            skips.add(str(number["id"]).strip() or f"line {number[LINE]}", bad.reason)
    return rows


def _labelled(rows: list[Row], settings: TableSource) -> tuple[list[Row], int]:
    """The rows with the labels of a file of labels, if there is one, and how many of that file belong to no row."""
    given = settings.labels
    if given.file is None or given.id is None:
        return rows, 0
    table = read_labels(given.file, given.id, given.columns)
    labels = dict(zip(table["id"], table.drop("id").iter_rows(named=True), strict=True))
    keys = [row.image if given.kind == "image" else row.study_id for row in rows]
    unused = len(labels.keys() - set(keys))
    if rows and unused == len(labels):
        key = settings.columns.image if given.kind == "image" else settings.columns.id
        raise UserError(
            f"{given.file}: none of its {len(labels)} ids in column {given.id!r} is in column {key!r} of "
            f"{settings.file}; set labels.id and labels.kind to what both have"
        )
    return [replace(row, labels=labels.get(key, {})) for row, key in zip(rows, keys, strict=True)], unused


def _studies(rows: list[Row], settings: TableSource, skips: Skips) -> dict[str, _Study]:
    """The studies by id, in the order of the table; rows whose image is unusable, or that contradict, are skipped."""
    root = settings.image_root or settings.file.parent
    named = [row.image for row in rows if row.image]
    files = inspect_all(named, root, settings.pixel_limit, settings.workers)
    studies: dict[str, _Study] = {}
    taken: set[Path] = set()
    for row in rows:
        file = next(files) if row.image else None
        reason = _refuse(row, file, studies.get(row.study_id), taken)
        if reason:
            skips.add(row.image if isinstance(file, BadImage) else row.study_id, reason)
            continue
        study = studies.setdefault(row.study_id, _Study(row, row))
        if row.text and not study.text.text:
            study.text = row
        if isinstance(file, ImageFile):
            taken.add(file.path)
            study.images.append((file.path.relative_to(root.resolve()).as_posix(), row, file))
    return studies


def _refuse(row: Row, file: ImageFile | BadImage | None, study: _Study | None, taken: set[Path]) -> str | None:
    """Why a row cannot be added to what is there, or None."""
    if isinstance(file, BadImage):
        return file.reason
    if file is not None and file.path in taken:
        return "duplicate_image"
    if study is None:
        return None
    if file is None:
        return "duplicate_id"
    first = study.first
    same = (row.patient_id, row.language, row.official) == (first.patient_id, first.language, first.official)
    if not same or (row.text and study.text.text and row.text != study.text.text):
        return "contradicts_study"
    return None


def _splits(studies: Iterable[_Study], settings: TableSource) -> dict[str, str]:
    """The split of every patient: the official one where any of the patient's studies has one."""
    splits: dict[str, str] = {}
    everyone = [study.first for study in studies]
    for row in everyone:
        if row.official and splits.setdefault(row.patient_id, row.official) != row.official:
            raise UserError(
                f"{settings.file}: line {row.line}: patient {row.patient_id!r} is in the splits "
                f"{splits[row.patient_id]} and {row.official}; correct them, or leave columns.split out"
            )
    for row in everyone:
        splits.setdefault(row.patient_id, split_of(row.patient_id, settings.splits))
    return splits


def _study_row(study: _Study, splits: dict[str, str], name: str) -> dict[str, object]:
    return {
        "study_id": study.first.study_id,
        "patient_id": study.first.patient_id,
        "language": study.first.language,
        "findings": study.text.findings or None,
        "impression": study.text.impression or None,
        "text": study.text.text,
        "split": splits[study.first.patient_id],
        "source": name,
    }


def _image_rows(study: _Study, splits: dict[str, str]) -> Iterable[dict[str, object]]:
    for image_id, row, file in study.images:
        yield {
            "image_id": image_id,
            "study_id": row.study_id,
            "patient_id": row.patient_id,
            "path": str(file.path),
            "view": row.view,
            "width": file.width,
            "height": file.height,
            "split": splits[row.patient_id],
            "sha256": file.sha256,
        }


def _label_rows(study: _Study, settings: TableSource) -> Iterable[dict[str, object]]:
    """A row for the study by its first row, or one for each image; none where every label is empty."""
    labelled = [(study.first.study_id, study.first)]
    if settings.labels.kind == "image":
        labelled = [(image_id, row) for image_id, row, _ in study.images]
    for identity, row in labelled:
        if all(state is None for state in row.labels.values()):
            continue
        yield {"id": identity, "kind": settings.labels.kind, "label_source": settings.labels.name, **row.labels}
