"""COVIDx: lists of images with their class, put together from several collections, in many versions.

Layout (COVID-Net's lists and Kaggle's images)::

    train_COVIDx9A.txt, test_COVIDx9A.txt   a line an image: patient, file, class (normal, pneumonia, COVID-19), source
    train.txt, test.txt (val.txt)           newer versions: classes negative and positive; set lists: ''
    train/<file>, test/<file>, val/<file>

Numbers of classes and images differ between versions, so that figures of one do not compare with another's; the card
states the version. Patients are numbered within their source, so that source and number name a patient. COVID-19 is a
laboratory's finding and is kept in the data set's own words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmclip.config.ingest import CovidxSource
from mmclip.errors import UserError
from mmclip.ingest.files import read_lines, require_file, require_folder
from mmclip.ingest.records import Collection, Image, Labels, Record, Terms
from mmclip.ingest.splits import official, train_or_val
from mmclip.observations import NO_FINDING, State

TERMS = Terms(
    licence="by source, several; see the data set's page",
    origin="https://www.kaggle.com/datasets/andyczhao/covidx-cxr2 (lists: https://github.com/lindawangg/COVID-Net)",
    share="restricted",
    forbids=("what the licence of an image's own source forbids",),
)

NOTE = "classes come from different hospitals; versions do not compare"

_CLASSES: dict[str, dict[str, State]] = {
    "normal": {NO_FINDING: 1},
    "pneumonia": {"Pneumonia": 1},
    "COVID-19": {},
    "negative": {},
    "positive": {},
}


def read(settings: CovidxSource) -> Collection:
    """One record an image, train before val before test.

    Raises:
        UserError: a list or folder is missing, or a line is not of the form.
    """
    ending = f"_{settings.lists}.txt" if settings.lists else ".txt"
    lists = {name: require_file(settings.root, f"{name}{ending}", TERMS) for name in ("train", "test")}
    validation = settings.root / f"val{ending}"
    if validation.is_file():
        lists = {"train": lists["train"], "val": validation, "test": lists["test"]}
    for name in lists:
        require_folder(settings.root, name, TERMS)
    classes: Counter[str] = Counter()
    counts: dict[str, Any] = {"images_by_class": classes}
    return Collection(
        records=_records(lists, classes, settings),
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=tuple(lists.values()),
        version=settings.lists or "2 classes",
        note=NOTE,
        counts=counts,
    )


def _records(lists: dict[str, Path], classes: Counter[str], settings: CovidxSource) -> Iterator[Record]:
    for name, path in lists.items():
        for number, line in enumerate(read_lines(path, TERMS), start=1):
            words = line.split()
            if len(words) < 4 or words[-2] not in _CLASSES:
                raise UserError(
                    f"{path}: line {number}: expected patient, file, class and source; classes: {', '.join(_CLASSES)}"
                )
            file, kind, source = " ".join(words[1:-2]), words[-2], words[-1]
            classes[kind] += 1
            patient = f"{source}:{words[0]}"
            states = _CLASSES[kind]
            image = Image(
                f"{name}/{file}",
                view="FRONTAL",
                labels=(Labels("file", states),) if states else (),
                own_labels={kind: 1},
            )
            divided = name == "train" and "val" not in lists
            split = train_or_val(patient, settings.splits) if divided else official(name)
            yield Record(f"{name}/{Path(file).stem}", patient, images=(image,), split=split, where=f"line {number}")
