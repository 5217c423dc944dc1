"""CheXpert v1.0 and v1.0-small: images with the official labels, without reports.

Layout, as Stanford publishes it::

    train.csv, valid.csv   Path, Sex, Age, Frontal/Lateral, AP/PA, and 14 observations (1.0, 0.0, -1.0 or empty)
    train/patient00001/study1/view1_frontal.jpg

`Path` begins with the archive's name (``CheXpert-v1.0-small/train/...``), which is not looked for on disk. The columns
stand in another order than most code has the observations (Lung Opacity before Lung Lesion), so that they are found by
name. valid.csv was labelled by radiologists, and is also the source ``gold``. A ``test.csv`` of the same form is read
where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmclip.config.ingest import ChexpertSource
from mmclip.errors import UserError
from mmclip.ingest.files import optional_file, read_rows, require_file, require_folder, states_by_name
from mmclip.ingest.records import Collection, Image, Labels, Record, Terms
from mmclip.ingest.splits import official
from mmclip.ingest.views import frontal_or_lateral

TERMS = Terms(
    licence="Stanford University Dataset Research Use Agreement",
    origin="https://stanfordmlgroup.github.io/competitions/chexpert (Stanford AIMI, after registration)",
    share="restricted",
    forbids=(
        "commercial use",
        "giving any of it to others",
        "trying to find out who a patient is",
    ),
)

_SPLITS = ("train", "valid", "test")


def read(settings: ChexpertSource) -> Collection:
    """One record an image; labels are the study's.

    Raises:
        UserError: a file or folder is missing, a path is not of CheXpert's form, or a label is no state.
    """
    tables = [require_file(settings.root, f"{name}.csv", TERMS) for name in ("train", "valid")]
    test = optional_file(settings.root, "test.csv")
    tables += [test] if test else []
    for table in tables:
        require_folder(settings.root, table.stem, TERMS)
    versions: set[str] = set()
    records = [record for table in tables for record in _records(table, versions)]
    return Collection(
        records=records,
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=tuple(tables),
        version=", ".join(sorted(versions)),
    )


def _records(table: Path, versions: set[str]) -> Iterator[Record]:
    for number, row in enumerate(read_rows(table, ("Path", "Frontal/Lateral", "AP/PA", "Edema"), TERMS), start=2):
        parts = row["Path"].split("/")
        if len(parts) < 4 or parts[-4] not in _SPLITS:
            raise UserError(
                f"{table}: row {number}: Path {row['Path']!r}; expected CheXpert-v1.0/train/patient00001/study1/view..."
            )
        split, patient, study, file = parts[-4:]
        if len(parts) > 4:
            versions.add(parts[-5])
        states = states_by_name(row, table)
        sources = ("official:chexpert",) if table.stem == "train" else ("official:chexpert", "gold")
        yield Record(
            study_id=f"{patient}/{study}",
            patient_id=patient,
            images=(
                Image(
                    f"{split}/{patient}/{study}/{file}", view=frontal_or_lateral(row["Frontal/Lateral"], row["AP/PA"])
                ),
            ),
            split=official(split),
            labels=tuple(Labels(source, states) for source in sources),
            where=f"row {number}",
        )
