"""From records to tables: the one way in which every data set that is read from files is put together.

Reports become texts, images are looked at, records of one study are joined, patients get their split, benchmarks are
drawn, and everything that is left out is counted with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.config.source import SourceSettings
from mmclip.data.image_header import BadImage
from mmclip.errors import BudgetExceeded, UserError
from mmclip.ingest.dataset import ALWAYS, TABLES, Dataset, sha256_of
from mmclip.ingest.hold_out import hold_out
from mmclip.ingest.image_files import ImageFile, inspect_all
from mmclip.ingest.records import Collection, Image, Labels, Record, Skip
from mmclip.ingest.report_text import BadReport, StudyText, read_text
from mmclip.ingest.splits import split_of
from mmclip.ingest.study_rows import box_rows, image_row, label_row, mask_rows, own_label_rows, study_row
from mmclip.ingest.threads import in_threads
from mmclip.observations import State
from mmclip.tables.ingest import HELD_OUT
from mmclip.tables.skips import Skips

_PRIORITY = ("test", "val", "train")
"""Where a publisher's split has a patient twice, the test keeps it."""


@dataclass
class Study:
    """The record that founded a study, its text, its images with id and file, and its labels by source."""

    first: Record
    text: StudyText
    images: list[tuple[str, Image, ImageFile]] = field(default_factory=list)
    labels: dict[str, Labels] = field(default_factory=dict)
    own_labels: dict[str, State] = field(default_factory=dict)


def assemble(name: str, collection: Collection, settings: SourceSettings, output: Path) -> Dataset:
    """The tables of a data set.

    Records of one study id are one study; they must agree in patient, language, split and text, where they give one.
    A record is left out when it lists images and none can be used, or has neither image nor text.

    Args:
        name: of the data set, for the column `source`.
        output: beside it the list of what was left out is written when it is too much.

    Raises:
        UserError: there are no records, a patient is in two official splits, or a benchmark cannot be drawn.
        BudgetExceeded: too much had to be left out.
    """
    skips = Skips()
    records, rows = _read(collection, settings, skips)
    if not rows:
        raise UserError(f"{collection.where}: holds no rows; expected one a study or image")
    studies = _studies(records, collection, settings, skips)
    _enforce(skips, rows, collection, settings, output)
    splits = _splits(studies, collection, settings, skips)
    tables, masks_left_out = _tables(name, studies.values(), splits)
    counts: dict[str, Any] = {
        "rows": rows,
        **collection.counts,
        "skipped": skips.counts(),
        "text_from": dict(sorted(Counter(study.text.text_from for study in studies.values()).items())),
        "removed_characters": sum(study.text.removed for study in studies.values()),
        **({"masks_of_another_size": masks_left_out} if masks_left_out else {}),
    }
    if settings.hold_out:
        held, counts["held_out"] = hold_out(settings.hold_out, tables, collection.where)
        tables = _keep_from_training(tables, held) | {"held_out": HELD_OUT.frame(held.to_dicts())}
    tables["skipped"] = skips.frame()
    return Dataset(tables, counts, {file.name: sha256_of(file) for file in collection.files})


def _read(collection: Collection, settings: SourceSettings, skips: Skips) -> tuple[list[tuple[Record, StudyText]], int]:
    """The records with their texts, and the number of rows: images, and studies without one, whether usable or not."""
    root = collection.report_root.resolve()
    records, rows = [], 0

    def read(item: Record | Skip) -> tuple[Record, StudyText] | Skip:
        if isinstance(item, Skip):
            return item
        try:
            text = read_text(item, root, settings.sections)
        except BadReport as bad:
            return Skip(item.study_id, bad.reason)
        if not item.images and not text.text:
            return Skip(item.study_id, "empty_report" if item.has_report_fields else "no_image")
        return item, text

    for done in in_threads(read, collection.records, settings.workers):
        if isinstance(done, Skip):
            skips.add(done.id, done.reason)
            rows += 1
        else:
            records.append(done)
            rows += max(1, len(done[0].images))
    return records, rows


def _studies(
    records: list[tuple[Record, StudyText]], collection: Collection, settings: SourceSettings, skips: Skips
) -> dict[str, Study]:
    """The studies by id, in order; what cannot be used, or contradicts what is there, is left out."""
    root = collection.image_root.resolve()
    names = [image.path for record, _ in records for image in record.images]
    keep = settings.burned_in == "keep"
    files = inspect_all(names, root, settings.pixel_limit, settings.workers, keep)
    studies: dict[str, Study] = {}
    taken: set[Path] = set()
    ids: set[str] = set()
    for record, text in records:
        found = [(image, next(files)) for image in record.images]
        usable = list(_usable(record, found, root, taken, ids, skips))
        if found and not usable:
            continue
        reason = _contradiction(record, text, studies.get(record.study_id))
        if reason:
            skips.add(record.study_id, reason)
            continue
        study = studies.setdefault(record.study_id, Study(record, text))
        if text.text and not study.text.text:
            study.text = text
        for label in record.labels:
            study.labels.setdefault(label.source, label)
        study.own_labels.update(record.own_labels)
        study.images += usable
        taken.update(file.path for _, _, file in usable)
        ids.update(image_id for image_id, _, _ in usable)
    return studies


def _usable(
    record: Record,
    found: list[tuple[Image, ImageFile | BadImage]],
    root: Path,
    taken: set[Path],
    ids: set[str],
    skips: Skips,
) -> Iterator[tuple[str, Image, ImageFile]]:
    """The images of a record that can be used, with their ids; the others are counted."""
    own: set[Path] = set()
    for image, file in found:
        if isinstance(file, BadImage):
            skips.add(image.path, file.reason)
            continue
        image_id = image.id or file.path.relative_to(root).as_posix()
        if file.path in taken | own or image_id in ids:
            skips.add(record.study_id, "duplicate_image")
            continue
        own.add(file.path)
        yield image_id, image, file


def _contradiction(record: Record, text: StudyText, study: Study | None) -> str | None:
    """Why a record cannot be added to its study, or None."""
    if study is None:
        return None
    if not record.images:
        return "duplicate_id"
    first = study.first
    same = (record.patient_id, record.language, record.split) == (first.patient_id, first.language, first.split)
    if not same or (text.text and study.text.text and text.text != study.text.text):
        return "contradicts_study"
    return None


def _enforce(skips: Skips, rows: int, collection: Collection, settings: SourceSettings, output: Path) -> None:
    try:
        skips.enforce(rows, settings.error_budget, output, "rows")
    except BudgetExceeded as error:
        missing = {"missing_file", "missing_report"} & skips.counts().keys()
        if not missing or not collection.terms.origin:
            raise
        raise BudgetExceeded(
            f"{error}; files are missing below {collection.image_root}: complete the download from "
            f"{collection.terms.origin}"
        ) from error


def _splits(
    studies: dict[str, Study], collection: Collection, settings: SourceSettings, skips: Skips
) -> dict[str, str]:
    """The split of every patient: the official one where any of the patient's studies has one."""
    splits: dict[str, str] = {}
    for record in [study.first for study in studies.values()]:
        if not record.split:
            continue
        known = splits.setdefault(record.patient_id, record.split)
        if known == record.split:
            continue
        if collection.split_conflict == "error":
            raise UserError(
                f"{collection.where}: {record.where}: patient {record.patient_id!r} is in the splits "
                f"{known} and {record.split}; correct them, or leave columns.split out"
            )
        splits[record.patient_id] = min(known, record.split, key=_PRIORITY.index)
    for study_id, record in [(study_id, study.first) for study_id, study in studies.items()]:
        if record.split and record.split != splits[record.patient_id]:
            skips.add(study_id, "patient_in_two_splits")
            del studies[study_id]
        splits.setdefault(record.patient_id, split_of(record.patient_id, settings.splits))
    return splits


def _tables(name: str, studies: Iterable[Study], splits: dict[str, str]) -> tuple[dict[str, pl.DataFrame], int]:
    """The tables, and the number of masks that are not of their image's size and were left out."""
    rows: dict[str, list[dict[str, object]]] = {
        key: [] for key in ("studies", "images", "labels", "own_labels", "boxes", "masks")
    }
    left_out = 0
    for study in studies:
        record, split = study.first, splits[study.first.patient_id]
        rows["studies"].append(study_row(record, study.text, split, name))
        rows["labels"] += label_row(record.study_id, "study", study.labels.values())
        rows["own_labels"] += own_label_rows(record.study_id, "study", study.own_labels)
        for image_id, image, file in study.images:
            rows["images"].append(image_row(image_id, image, file, record, split))
            rows["labels"] += label_row(image_id, "image", image.labels)
            rows["own_labels"] += own_label_rows(image_id, "image", image.own_labels)
            rows["boxes"] += box_rows(image_id, image.boxes)
            masks = mask_rows(image_id, image.masks, file)
            rows["masks"] += masks
            left_out += len(image.masks) - len(masks)
    return {key: TABLES[key].frame(found) for key, found in rows.items() if found or key in ALWAYS}, left_out


def _keep_from_training(tables: dict[str, pl.DataFrame], held: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The same tables with all studies of the held-out patients in the split test."""
    is_held = pl.col("patient_id").is_in(held["patient_id"].unique().implode())
    split = pl.when(is_held).then(pl.lit("test")).otherwise(pl.col("split")).alias("split")
    return tables | {key: tables[key].with_columns(split) for key in ("studies", "images")}
