"""What an adapter hands to the assembler: records of studies and images, as the data set gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmclip.languages import ENGLISH
from mmclip.observations import State


@dataclass(frozen=True, slots=True)
class Skip:
    """What an adapter leaves out: an id and why, in a word with underscores."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Labels:
    """States of some observations, by name, and what made them; an observation that is not named is not mentioned.

    Attributes:
        source: the column `label_source` of the labels table.
    """

    source: str
    states: Mapping[str, State]


@dataclass(frozen=True, slots=True)
class Box:
    """A finding's place, in pixels of the original image; `observation` is one of the 14 or the data set's own word."""

    observation: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Mask:
    """A finding's pixels as runs of an image of `width` x `height` (see :mod:`mmclip.tables.runs`)."""

    observation: str
    width: int
    height: int
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a study.

    Attributes:
        path: below the collection's image root, or absolute and below it.
        id: unique in the data set; "" for the path below the root.
        view: one of the views of the `images` table; UNKNOWN is replaced by what a DICOM file says itself.
        labels: of this image alone.
        own_labels: labels in the data set's own words that the 14 observations cannot hold.
    """

    path: str
    id: str = ""
    view: str = "UNKNOWN"
    labels: tuple[Labels, ...] = ()
    own_labels: Mapping[str, State] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A study, or a part of one: records of one study id are put together.

    Attributes:
        split: train, val or test if the data set says so.
        text: the whole report, which is split into sections.
        findings, impression: sections that the data set gives apart.
        report_file: where the report is, below the collection's report root. All four are None in a data set without
            reports, and "" where one study lacks its report.
        labels: of the study.
        where: the place in the source, for messages (``line 4``).
    """

    study_id: str
    patient_id: str
    images: tuple[Image, ...] = ()
    text: str | None = None
    findings: str | None = None
    impression: str | None = None
    report_file: str | None = None
    language: str = ENGLISH
    split: str | None = None
    labels: tuple[Labels, ...] = ()
    own_labels: Mapping[str, State] = field(default_factory=dict)
    where: str = ""

    @property
    def has_report_fields(self) -> bool:
        """Whether the data set has reports, even if this study has none."""
        return any(part is not None for part in (self.text, self.findings, self.impression, self.report_file))


@dataclass(frozen=True)
class Terms:
    """What may be done with a data set, for its card.

    Attributes:
        origin: where it comes from; errors about missing files say so too.
        forbids: what its licence or data use agreement forbids, a line each.
    """

    licence: str
    origin: str
    share: Literal["public", "restricted"]
    forbids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collection:
    """A data set as its adapter finds it.

    Attributes:
        records: in the data set's order, with what was left out among them.
        files: those that were read for the records, for their checksums; reports and images are not among them.
        counts: the adapter's own, step by step; looked at after the records have been read.
        split_conflict: error where a patient in two official splits is the user's to mend; skip where it is the
            publisher's: the patient's studies outside the first of test, val and train are then left out.
    """

    records: Iterable[Record | Skip]
    terms: Terms
    image_root: Path
    report_root: Path
    files: tuple[Path, ...]
    version: str
    note: str = ""
    counts: dict[str, Any] = field(default_factory=dict)
    split_conflict: Literal["error", "skip"] = "skip"

    @property
    def where(self) -> str:
        """The file that messages name."""
        return str(self.files[0] if self.files else self.image_root)
