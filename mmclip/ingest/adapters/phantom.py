"""Simulated studies as a data set: images, reports, and the truth behind both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

import simplejpeg

from mmclip.config.ingest import PhantomSource
from mmclip.ingest.dataset import Dataset
from mmclip.ingest.sections import select, split
from mmclip.ingest.splits import split_of
from mmclip.languages import ENGLISH
from mmclip.observations import NO_FINDING, OBSERVATIONS, SUPPORT_DEVICES, column
from mmclip.phantom.radiograph import render
from mmclip.phantom.reports import Report, write
from mmclip.phantom.truth import Truth, draw
from mmclip.processes import ordered_map
from mmclip.tables.card import Card
from mmclip.tables.ingest import BOXES, IMAGES, MASKS, STUDIES
from mmclip.tables.labeling import LABELS
from mmclip.tables.phantom import STATEMENTS, TRUTH
from mmclip.tables.runs import encode_runs

VERSION = "1"
"""Changes when the same settings give other data."""

NOTE = "simulated, not clinical"

_QUALITY = 95
_BLOCK = 16

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class _Drawn:
    """A study with its file and what is known about its image."""

    truth: Truth
    report: Report
    jpeg: bytes
    boxes: Rows
    masks: Rows


def make_phantom(name: str, settings: PhantomSource, folder: Path) -> Dataset:
    """Draw the studies, write their images below ``folder/images`` and return their tables.

    The same settings give the same bytes, for any number of workers. A study's text goes through the same splitting
    into sections as any report.
    """
    (folder / "images").mkdir()
    truths = draw(settings.n, settings.seed)
    tables: dict[str, Rows] = {
        key: [] for key in ("studies", "images", "labels", "boxes", "masks", "truth", "statements")
    }
    for block in ordered_map(partial(_draw_block, settings=settings), _blocks(truths), settings.workers):
        for drawn in block:
            (folder / image_path(drawn.truth)).write_bytes(drawn.jpeg)
            _add(tables, drawn, name, settings)
    frames = {
        "studies": STUDIES.frame(tables["studies"]),
        "images": IMAGES.frame(tables["images"]),
        "labels": LABELS.frame(tables["labels"]),
        "boxes": BOXES.frame(tables["boxes"]),
        "masks": MASKS.frame(tables["masks"]),
        "truth": TRUTH.frame(tables["truth"]),
        "statements": STATEMENTS.frame(tables["statements"]),
    }
    return Dataset(frames, _counts(tables))


def card(name: str, settings: PhantomSource) -> Card:
    """The card, without what is filled in on writing."""
    return Card(
        name=name,
        kind=settings.kind,
        version=VERSION,
        note=NOTE,
        licence="Apache-2.0",
        share="public",
        settings=settings.model_dump(mode="json", exclude={"workers"}),
        sources={},
        files={},
        counts={},
    )


def image_id(truth: Truth) -> str:
    """The id of a study's one image."""
    return f"{truth.study_id}-i0"


def image_path(truth: Truth) -> str:
    """The image's path below the data set's folder."""
    return f"images/{image_id(truth)}.jpg"


def truth_labels(truth: Truth) -> dict[str, int]:
    """The labels of an image: 1 for what it shows, 0 for the rest; No Finding where it shows no more than devices.

    Observations that the phantom never draws as such (Lung Opacity, Pneumonia, ...) are 0, also where a finding that
    implies them in CheXpert's hierarchy is shown.
    """
    labels = {column(name): int(name in truth.observations) for name in OBSERVATIONS}
    labels[column(NO_FINDING)] = int(not truth.observations - {SUPPORT_DEVICES})
    return labels


def _blocks(truths: Iterator[Truth]) -> Iterator[list[Truth]]:
    while block := list(islice(truths, _BLOCK)):
        yield block


def _draw_block(block: list[Truth], settings: PhantomSource) -> list[_Drawn]:
    return [_draw_one(truth, settings) for truth in block]


def _draw_one(truth: Truth, settings: PhantomSource) -> _Drawn:
    film = render(truth, settings.size)
    identity = image_id(truth)
    return _Drawn(
        truth,
        write(truth, uncertain_rate=settings.uncertain_rate, wrong_rate=settings.wrong_rate),
        simplejpeg.encode_jpeg(film.pixels[..., None], _QUALITY, colorspace="GRAY", colorsubsampling="Gray"),
        [
            {"image_id": identity, "observation": name, "x": x, "y": y, "width": width, "height": height}
            for name, x, y, width, height in film.boxes
        ],
        [
            {
                "image_id": identity,
                "observation": name,
                "width": settings.size,
                "height": settings.size,
                "runs": encode_runs(mask),
            }
            for name, mask in film.masks.items()
        ],
    )


def _add(tables: dict[str, Rows], drawn: _Drawn, name: str, settings: PhantomSource) -> None:
    truth, report = drawn.truth, drawn.report
    sections = split(report.text)
    shared: dict[str, object] = {
        "study_id": truth.study_id,
        "patient_id": truth.patient_id,
        "split": split_of(truth.patient_id, settings.splits),
    }
    tables["studies"].append(
        {
            **shared,
            "language": ENGLISH,
            "findings": sections.findings,
            "impression": sections.impression,
            "text": select(sections, "both")[0],
            "source": name,
        }
    )
    tables["images"].append(
        {
            **shared,
            "image_id": image_id(truth),
            "path": image_path(truth),
            "view": "PA",
            "width": settings.size,
            "height": settings.size,
            "sha256": sha256(drawn.jpeg).hexdigest(),
        }
    )
    for identity, kind in ((truth.study_id, "study"), (image_id(truth), "image")):
        tables["labels"].append({"id": identity, "kind": kind, "label_source": "truth", **truth_labels(truth)})
    tables["boxes"] += drawn.boxes
    tables["masks"] += drawn.masks
    tables["truth"] += [{"study_id": truth.study_id, **asdict(finding)} for finding in truth.findings]
    tables["statements"] += _statements(report)


def _statements(report: Report) -> Iterable[dict[str, object]]:
    for index, statement in enumerate(report.statements):
        states = {column(name): statement.states.get(name) for name in OBSERVATIONS}
        yield {
            "study_id": report.study_id,
            "index": index,
            "frame": statement.frame,
            "wrong": statement.is_wrong,
            **states,
        }


def _counts(tables: dict[str, Rows]) -> dict[str, object]:
    shown: dict[str, int] = dict.fromkeys(OBSERVATIONS, 0)
    for row in tables["truth"]:
        shown[str(row["observation"])] += 1
    return {
        "rows": len(tables["studies"]),
        "skipped": {},
        "findings": {name: count for name, count in shown.items() if count},
        "statements": len(tables["statements"]),
        "wrong_statements": sum(bool(row["wrong"]) for row in tables["statements"]),
        "uncertain_statements": sum(-1 in row.values() for row in tables["statements"]),
    }
