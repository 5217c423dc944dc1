"""NIH ChestX-ray14: images with labels that a machine read from reports that were not published.

Layout, as the NIH Clinical Center publishes it::

    Data_Entry_2017_v2020.csv (or Data_Entry_2017.csv)   Image Index, Finding Labels (joined by |), Patient ID,
                                                         View Position, ...
    images_001/images/00000001_000.png ... images_012/   (or all of them in images/)
    train_val_list.txt, test_list.txt                    the official split
    BBox_List_2017.csv                                   984 boxes: Image Index, Finding Label, Bbox [x,y,w,h]

Only what was found is listed. What is not listed may be absent or not mentioned, so that its label stays empty; it is
never made 0. The list train_val_list.txt is divided into train and val by the patient's hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mmclip.config.ingest import NihCxr14Source
from mmclip.config.source import SplitShares
from mmclip.errors import UserError
from mmclip.ingest.files import number_of, optional_file, read_fields, read_lines, read_rows, require_file
from mmclip.ingest.records import Box, Collection, Image, Labels, Record, Terms
from mmclip.ingest.splits import train_or_val
from mmclip.ingest.views import view_of
from mmclip.observations import NO_FINDING, State

TERMS = Terms(
    licence="no restriction stated; the NIH Clinical Center asks to be named, with a link and the paper cited",
    origin="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    share="public",
    forbids=("trying to find out who a patient is",),
)

_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}

_OBSERVATIONS: dict[str, str] = {
    "No Finding": NO_FINDING,
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Effusion": "Pleural Effusion",
    "Infiltration": "Lung Opacity",
    "Infiltrate": "Lung Opacity",
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Pleural_Thickening": "Pleural Other",
}
"""NIH's labels -> observation; ours. Emphysema, Fibrosis and Hernia have none and are kept in their own words."""


def read(settings: NihCxr14Source) -> Collection:
    """One record an image.

    Raises:
        UserError: a file or the images are missing, or an image is on no list.
    """
    old = optional_file(settings.root, "Data_Entry_2017.csv")
    table = old or require_file(settings.root, "Data_Entry_2017_v2020.csv", TERMS)
    lists = {name: require_file(settings.root, name, TERMS) for name in _LISTS}
    boxes = optional_file(settings.root, "BBox_List_2017.csv")
    places = {file.name: file for file in settings.root.glob("images*/**/*.png")}
    if not places:
        raise UserError(f"{settings.root}: no images_001/images/*.png nor images/*.png; they come from {TERMS.origin}")
    split = {line: _LISTS[name] for name, path in lists.items() for line in read_lines(path, TERMS)}
    return Collection(
        records=_records(table, places, split, _boxes(boxes), settings),
        terms=TERMS,
        image_root=settings.root,
        report_root=settings.root,
        files=(table, *lists.values(), *([boxes] if boxes else [])),
        version="2017" if old else "2017 v2020",
    )


def _records(
    table: Path,
    places: dict[str, Path],
    splits: dict[str, str],
    boxes: dict[str, list[Box]],
    settings: NihCxr14Source,
) -> Iterator[Record]:
    columns = ("Image Index", "Finding Labels", "Patient ID", "View Position")
    for number, row in enumerate(read_rows(table, columns, TERMS), start=2):
        name, patient = row["Image Index"], row["Patient ID"]
        states, own = _labels(row["Finding Labels"])
        file = places.get(name)
        image = Image(
            file.relative_to(settings.root).as_posix() if file else f"images/{name}",
            id=name,
            view=view_of(row["View Position"]),
            labels=(Labels("file", states),) if states else (),
            own_labels=own,
            boxes=tuple(boxes.get(name, ())),
        )
        split = _split(splits.get(name), patient, settings.splits)
        yield Record(Path(name).stem, patient, images=(image,), split=split, where=f"row {number}")


def _split(listed: str | None, patient: str, shares: SplitShares) -> str | None:
    return train_or_val(patient, shares) if listed == "train" else listed


def _labels(cell: str) -> tuple[dict[str, State], dict[str, State]]:
    names = [name.strip() for name in cell.split("|") if name.strip()]
    states: dict[str, State] = {_OBSERVATIONS[name]: 1 for name in names if name in _OBSERVATIONS}
    own: dict[str, State] = {name: 1 for name in names if name not in _OBSERVATIONS}
    return states, own


def _boxes(path: Path | None) -> dict[str, list[Box]]:
    """Boxes by image. The header's last name is cut by its own commas, so that columns go by their place."""
    out: dict[str, list[Box]] = defaultdict(list)
    if path is None:
        return out
    for line, row in read_fields(path, TERMS):
        if row[0] == "Image Index":
            continue
        try:
            x, y, width, height = map(number_of, row[2:6])
        except ValueError as error:
            raise UserError(f"{path}: line {line}: four numbers expected after the finding") from error
        out[row[0]].append(Box(_OBSERVATIONS.get(row[1], row[1]), x, y, width, height))
    return out
