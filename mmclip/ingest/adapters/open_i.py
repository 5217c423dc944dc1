"""Open-I: the chest radiographs of Indiana University, one XML report a study, PNG or DICOM images.

Layout, as the National Library of Medicine publishes it::

    ecgen-radiology/1.xml ... 3999.xml    (NLMCXR_reports.tgz)
    NLMCXR_png/CXR1_1_IM-0001-3001.png    (NLMCXR_png.tgz), named as the XML's parentImage ids
    NLMCXR_dcm/1/1_IM-0001-3001.dcm       (NLMCXR_dcm.tgz; folders from memory, unverified)
    indiana_projections.csv               uid, filename, projection: not Open-I's, but Kaggle's copy's; read if there

The XML does not tell which image is the frontal one. Without indiana_projections.csv the view of a PNG is UNKNOWN; a
DICOM file states its own. No patient ids are published, so that every report counts as a patient. The collection's MeSH
codes, set by people, become labels of the source ``file``; a de-identified word reads XXXX.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from mmclip.config.ingest import OpenISource
from mmclip.errors import UserError
from mmclip.ingest.files import optional_file, read_rows, require_folder
from mmclip.ingest.records import Collection, Image, Labels, Record, Skip, Terms
from mmclip.ingest.views import view_of
from mmclip.observations import NO_FINDING, SUPPORT_DEVICES, State

TERMS = Terms(
    licence="CC BY-NC-ND 4.0 (reports)",
    origin="https://openi.nlm.nih.gov/faq (NLMCXR_reports.tgz, NLMCXR_png.tgz, NLMCXR_dcm.tgz)",
    share="restricted",
    forbids=("commercial use", "publishing what was made from the reports, such as a translation"),
)

_REPORTS = "ecgen-radiology"
_SIZE_LIMIT = 1_000_000
"""Bytes of the longest report; they have some ten thousand."""

_MESH: dict[str, str] = {
    "normal": NO_FINDING,
    "Cardiomegaly": "Cardiomegaly",
    "Pulmonary Atelectasis": "Atelectasis",
    "Atelectasis": "Atelectasis",
    "Pleural Effusion": "Pleural Effusion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Pulmonary Edema": "Edema",
    "Opacity": "Lung Opacity",
    "Airspace Disease": "Lung Opacity",
    "Infiltrate": "Lung Opacity",
    "Nodule": "Lung Lesion",
    "Mass": "Lung Lesion",
    "Fractures, Bone": "Fracture",
    "Medical Device": SUPPORT_DEVICES,
    "Implanted Medical Device": SUPPORT_DEVICES,
    "Catheters, Indwelling": SUPPORT_DEVICES,
    "Tube, Inserted": SUPPORT_DEVICES,
    "Surgical Instruments": SUPPORT_DEVICES,
}
"""Heads of MeSH codes (before the first slash) -> observation; ours. Other codes are kept in their own words."""


def read(settings: OpenISource) -> Collection:
    """One record a report, in the order of their numbers.

    Raises:
        UserError: the reports or the images are missing.
    """
    folder = require_folder(settings.root, _REPORTS, TERMS)
    reports = sorted(folder.glob("*.xml"), key=lambda path: (len(path.stem), path.stem))
    if not reports:
        raise UserError(f"{folder}: holds no .xml; unpack NLMCXR_reports.tgz from {TERMS.origin}")
    images = require_folder(settings.root, "NLMCXR_png" if settings.images == "png" else "NLMCXR_dcm", TERMS)
    projections = optional_file(settings.root, "indiana_projections.csv")
    views = _views(projections)
    files = {file.name: file for file in images.rglob("*.dcm")} if settings.images == "dicom" else {}
    return Collection(
        records=[_record(path, images, views, files) for path in reports],
        terms=TERMS,
        image_root=images,
        report_root=folder,
        files=(projections,) if projections else (),
        version="",
        counts={"reports": len(reports)},
    )


def _record(path: Path, images: Path, views: dict[str, str], files: dict[str, Path]) -> Record | Skip:
    data = path.read_bytes() if path.is_file() and path.stat().st_size <= _SIZE_LIMIT else b""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return Skip(path.stem, "broken_report")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError):  # the latter two of an encoding that there is not
        return Skip(path.stem, "broken_report")
    identity = root.find("uId")
    study = identity.get("id", "") if identity is not None else ""
    if not study:
        return Skip(path.stem, "empty_id")
    sections = {part.get("Label", ""): part.text or "" for part in root.iter("AbstractText")}
    names = [image.get("id", "") for image in root.iter("parentImage")]
    codes = [(code.text or "").strip() for code in root.iterfind("MeSH/major")]
    states, own = _labels(codes)
    return Record(
        study_id=study,
        patient_id=study,
        images=tuple(_image(name, images, views, files) for name in names if name),
        findings=sections.get("FINDINGS", ""),
        impression=sections.get("IMPRESSION", ""),
        labels=(Labels("file", states),) if states else (),
        own_labels=own,
        where=path.name,
    )


def _image(name: str, images: Path, views: dict[str, str], files: dict[str, Path]) -> Image:
    if not files:
        return Image(f"{name}.png", id=name, view=views.get(name, "UNKNOWN"))
    file = f"{name.removeprefix('CXR')}.dcm"
    found = files.get(file) or files.get(f"{name}.dcm")
    return Image(found.relative_to(images).as_posix() if found else file, id=name, view=views.get(name, "UNKNOWN"))


def _views(projections: Path | None) -> dict[str, str]:
    """Name of an image -> its view. The file has ``1_IM-0001-4001.dcm.png`` for the image CXR1_1_IM-0001-4001."""
    if projections is None:
        return {}
    rows = list(read_rows(projections, ("uid", "filename", "projection"), TERMS))
    views = {row["filename"].partition(".")[0]: view_of(row["projection"]) for row in rows}
    # Studies with one number have the uid once in the XML's name, others twice: CXR1_1_IM-..., CXR2_IM-...
    return (
        views
        | {f"CXR{name}": view for name, view in views.items()}
        | {f"CXR{row['uid']}_{row['filename'].partition('.')[0]}": view_of(row["projection"]) for row in rows}
    )


def _labels(codes: list[str]) -> tuple[dict[str, State], dict[str, State]]:
    """Observations that the codes state, and the codes that state none of them."""
    states: dict[str, State] = {}
    own: dict[str, State] = {}
    for code in filter(None, codes):
        head, _, rest = code.partition("/")
        name = "Pleural Other" if head == "Thickening" and "pleura" in rest else _MESH.get(head)
        if name is None:
            own[code] = 1
        else:
            states[name] = 1
    return states, own
