"""The COVID-19 Radiography Database: PNG images, one folder a class.

Layout, as Kaggle publishes it (older versions lack the level ``images/``, and Lung_Opacity)::

    COVID/images/COVID-1.png, Lung_Opacity/images/Lung_Opacity-1.png, Normal/images/Normal-1.png,
    Viral Pneumonia/images/Viral Pneumonia-1.png        (masks/ beside images/ holds lungs, not findings)

The classes come from different hospitals and ages, so that a model may tell the source instead of the disease. COVID
is a laboratory's finding, not an observation of the image: it is kept in the data set's own words. No patient ids are
published; images count as patients, and a patient with several images may be in two splits unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmclip.config.ingest import CovidRadiographySource
from mmclip.errors import UserError
from mmclip.ingest.records import Collection, Image, Labels, Record, Terms
from mmclip.observations import NO_FINDING, State

TERMS = Terms(
    licence="by source, several; see the data set's page",
    origin="https://www.kaggle.com/datasets/tawsifurrahman/covid19-radiography-database",
    share="restricted",
    forbids=("what the licence of an image's own source forbids",),
)

NOTE = "no patient ids; classes come from different hospitals"

_CLASSES: dict[str, dict[str, State]] = {
    "COVID": {},
    "Lung_Opacity": {"Lung Opacity": 1},
    "Normal": {NO_FINDING: 1},
    "Viral Pneumonia": {"Pneumonia": 1},
}
_REQUIRED = ("COVID", "Normal", "Viral Pneumonia")


def read(settings: CovidRadiographySource) -> Collection:
    """One record an image, class after class, by number.

    Raises:
        UserError: a class's folder is missing or empty.
    """
    files = {name: _files(settings.root, name) for name in _CLASSES}
    for name in _REQUIRED:
        if not files[name]:
            raise UserError(f"{settings.root / name}: no images/*.png in it; the folder comes from {TERMS.origin}")
    return Collection(
        records=_records(files, settings.root),
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=(),
        version="3 classes" if not files["Lung_Opacity"] else "4 classes",
        note=NOTE,
        counts={"images_by_class": {name: len(found) for name, found in files.items()}},
    )


def _files(root: Path, name: str) -> list[Path]:
    folder = root / name / "images" if (root / name / "images").is_dir() else root / name
    return sorted(folder.glob("*.png"), key=lambda file: (len(file.stem), file.stem))


def _records(files: dict[str, list[Path]], root: Path) -> Iterator[Record]:
    for name, found in files.items():
        for file in found:
            states = _CLASSES[name]
            image = Image(
                file.relative_to(root).as_posix(),
                id=file.stem,
                view="FRONTAL",
                labels=(Labels("file", states),) if states else (),
                own_labels={name: 1},
            )
            yield Record(file.stem, file.stem, images=(image,))
