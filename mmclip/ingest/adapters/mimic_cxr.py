"""MIMIC-CXR (DICOM and reports) and MIMIC-CXR-JPG (JPEG and labels), versions 2.0.0 to 2.1.0.

Layout, as PhysioNet publishes it::

    mimic-cxr-2.0.0-metadata.csv.gz   dicom_id, subject_id, study_id, ..., ViewPosition, ..., Rows, Columns, ...
    mimic-cxr-2.0.0-split.csv.gz      dicom_id, study_id, subject_id, split (train, validate, test)
    mimic-cxr-2.0.0-chexpert.csv.gz   subject_id, study_id, 13 observations in an order of their own, No Finding
    mimic-cxr-2.0.0-negbio.csv.gz     the same
    mimic-cxr-2.1.0-test-set-labeled.csv   study_id and observations; Lung Opacity is called Airspace Opacity
    files/p10/p10000032/s50414267/<dicom_id>.jpg   (.dcm in MIMIC-CXR)
    files/p10/p10000032/s50414267.txt              (mimic-cxr-reports.zip of MIMIC-CXR)

The radiologists' labels of the test set become the source ``gold``, which nothing is trained on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmclip.config.ingest import MimicCxrSource
from mmclip.errors import UserError
from mmclip.ingest.files import optional_file, read_rows, require_file, states_by_name
from mmclip.ingest.records import Collection, Image, Labels, Record, Terms
from mmclip.ingest.splits import official
from mmclip.ingest.views import view_of

TERMS = Terms(
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    origin="https://physionet.org/content/mimic-cxr-jpg/2.1.0 (reports: https://physionet.org/content/mimic-cxr/2.1.0)",
    share="restricted",
    forbids=(
        "giving any of it, reports, images, ids or translations, to somebody who has not signed the agreement",
        "sending reports to a service on the network, such as an online translator or language model",
        "trying to find out who a patient is",
    ),
)

_METADATA, _SPLIT = "mimic-cxr-2.0.0-metadata.csv.gz", "mimic-cxr-2.0.0-split.csv.gz"
_LABELS = {
    "official:chexpert": "mimic-cxr-2.0.0-chexpert.csv.gz",
    "official:negbio": "mimic-cxr-2.0.0-negbio.csv.gz",
}
_GOLD = "mimic-cxr-2.1.0-test-set-labeled.csv"

_VIEW_CODES = {"postero-anterior": "PA", "antero-posterior": "AP", "lateral": "LATERAL", "left lateral": "LATERAL"}
"""ViewCodeSequence_CodeMeaning, where ViewPosition is empty (15,769 images of MIMIC-CXR-JPG 2.0.0); the words are from
memory, unverified."""

_IDS = ("dicom_id", "subject_id", "study_id")


def read(settings: MimicCxrSource) -> Collection:
    """One record a study, in the order of the metadata.

    Raises:
        UserError: a file is missing, of another version or not whole, or there are no reports.
    """
    files = {name: require_file(settings.root, name, TERMS) for name in (_METADATA, _SPLIT, *_LABELS.values())}
    gold = optional_file(settings.root, _GOLD)
    reports = settings.reports or settings.root
    image_root = (settings.dicom_root or settings.root) if settings.images == "dicom" else settings.root
    splits = {row["dicom_id"]: row["split"] for row in read_rows(files[_SPLIT], ("dicom_id", "split"), TERMS)}
    studies: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(files[_METADATA], (*_IDS, "ViewPosition"), TERMS):
        studies[row["subject_id"], row["study_id"]].append(row)
    chosen = settings.labels.source  # of two published sources later stages would take the first, not the chosen one
    sources = {source: files[name] for source, name in _LABELS.items() if chosen in ("rules", source)}
    sources |= {"gold": gold} if gold else {}
    labels = {source: _labels(source, path) for source, path in sources.items()}
    _require_reports(reports, next(iter(studies), None))
    known = {study for _, study in studies}
    counts: dict[str, Any] = {
        "studies_in_metadata": len(studies),
        "images_in_metadata": sum(map(len, studies.values())),
        "labels_without_study": {source: len(found.keys() - known) for source, found in labels.items()},
    }
    return Collection(
        records=_records(studies, splits, labels, settings),
        terms=TERMS,
        image_root=image_root,
        report_root=reports,
        files=(*files.values(), *([gold] if gold else [])),
        version="2.1.0" if gold else "2.0.0",
        counts=counts,
    )


def _records(
    studies: dict[tuple[str, str], list[dict[str, str]]],
    splits: dict[str, str],
    labels: dict[str, dict[str, Labels]],
    settings: MimicCxrSource,
) -> Iterator[Record]:
    for (subject, study), rows in studies.items():
        folder = f"files/p{subject[:2]}/p{subject}/s{study}"
        yield Record(
            study_id=study,
            patient_id=subject,
            images=tuple(_image(row, folder, settings) for row in rows) if settings.images != "none" else (),
            report_file=f"{folder}.txt",
            split=_split(rows[0]["dicom_id"], splits, settings.root / _SPLIT),
            labels=tuple(found[study] for found in labels.values() if study in found),
            where=f"study {study}",
        )


def _image(row: dict[str, str], folder: str, settings: MimicCxrSource) -> Image:
    ending = "dcm" if settings.images == "dicom" else "jpg"
    meaning = row.get("ViewCodeSequence_CodeMeaning", "").lower()
    code = _VIEW_CODES.get(meaning, "OTHER" if meaning else "UNKNOWN")
    view = view_of(row["ViewPosition"]) if row["ViewPosition"] else code
    return Image(f"{folder}/{row['dicom_id']}.{ending}", id=row["dicom_id"], view=view)


def _split(dicom_id: str, splits: dict[str, str], path: Path) -> str | None:
    if dicom_id not in splits:
        return None
    found = official(splits[dicom_id])
    if found is None:
        raise UserError(f"{path}: split of {dicom_id} is {splits[dicom_id]!r}; expected train, validate or test")
    return found


def _labels(source: str, path: Path) -> dict[str, Labels]:
    rows = read_rows(path, ("study_id", "Cardiomegaly"), TERMS)
    return {row["study_id"]: Labels(source, states_by_name(row, path)) for row in rows}


def _require_reports(root: Path, first: tuple[str, str] | None) -> None:
    if first is None:
        return
    subject, study = first
    group = root / f"files/p{subject[:2]}"
    if not group.is_dir() or not any(group.glob("p*/s*.txt")):
        raise UserError(
            f"{group}/p{subject}/s{study}.txt: no such file, nor another report; unpack mimic-cxr-reports.zip "
            f"from https://physionet.org/content/mimic-cxr/2.1.0 and set reports to its folder"
        )
