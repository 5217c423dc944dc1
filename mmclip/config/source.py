"""What the settings of all data sets share: sections, splits, budgets, and who is kept out of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from mmclip.config.base import Settings, left_out
from mmclip.observations import FIVE, OBSERVATIONS

SectionPolicy = Literal["both", "findings", "impression", "longest"]

Fraction = Annotated[float, Field(ge=0, le=1)]


def known_observations(columns: dict[str, str]) -> dict[str, str]:
    """The mapping, if its keys are observations.

    Raises:
        ValueError: one is not.
    """
    for name in columns:
        if name not in OBSERVATIONS:
            raise ValueError(f"{name!r} is not one of the 14 observations ({', '.join(OBSERVATIONS)})")
    return columns


ObservationColumns = Annotated[dict[str, str], AfterValidator(known_observations)]
"""Observation -> column."""


class SplitShares(Settings):
    """How patients without an official split are dealt out; see :mod:`mmclip.ingest.splits`."""

    train: Fraction = Field(0.7, description="share of the patients that are learned from")
    val: Fraction = Field(0.1, description="share of the patients that settings are chosen on")
    test: Fraction = Field(0.2, description="share of the patients that results are reported on")
    salt: str = Field("mmclip", description="changes who goes where; written into the card")

    @model_validator(mode="after")
    def _whole(self) -> SplitShares:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test must be 1, not {self.train + self.val + self.test:g}")
        return self


class HoldOut(Settings):
    """Images that are drawn for a benchmark; all studies of their patients go to the split test.

    See :mod:`mmclip.ingest.hold_out` for the protocols, and for how ours differ from those they are named after.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="what the benchmark is called, as chexpert_5x200")
    protocol: Literal["gloria", "medclip", "medclip_covid", "medclip_rsna"] = Field(
        "gloria",
        description="gloria: frontal images with exactly one class present and nothing else present or uncertain;"
        " medclip: any view, uncertain counts as absent; medclip_covid: COVID and Normal of covid_radiography;"
        " medclip_rsna: images of rsna_pneumonia with and without pneumonia",
    )
    label_source: str = Field(
        "official:chexpert", description="of gloria and medclip: whose labels decide", json_schema_extra=left_out
    )
    classes: tuple[str, ...] = Field(
        FIVE, min_length=2, description="of gloria and medclip: observations", json_schema_extra=left_out
    )
    per_class: int | None = Field(
        None, ge=1, description="images of each class; none: 200, 1,500 of medclip_covid, 1,800 of medclip_rsna"
    )
    seed: int = Field(0, ge=0, description="of the draw")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="of the drawn ids, as the card has it; other ids are then an error"
    )

    @field_validator("classes")
    @classmethod
    def _observations(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        known_observations(dict.fromkeys(classes, ""))
        return classes

    @model_validator(mode="after")
    def _its_own_classes(self) -> HoldOut:
        given = {"label_source", "classes"} & self.model_fields_set
        if self.protocol in ("medclip_covid", "medclip_rsna") and given:
            raise ValueError(f"{min(given)}: {self.protocol} has its own; leave it out")
        return self


class SourceSettings(Settings):
    """Settings of any data set that is read from files."""

    kind: str
    sections: SectionPolicy = Field("both", description="what of a report becomes a study's text")
    splits: SplitShares = SplitShares()
    hold_out: tuple[HoldOut, ...] = Field((), description="benchmarks whose patients are kept out of training")
    burned_in: Literal["skip", "keep"] = Field(
        "skip", description="DICOM files whose header says that the pixels hold text about the patient"
    )
    error_budget: Fraction = Field(0.001, description="share of rows that may be skipped before the stage fails")
    pixel_limit: int = Field(128_000_000, ge=1, description="larger images are skipped unread")
    workers: int = Field(4, ge=1, description="threads that read the files; the result does not depend on it")

    @field_validator("hold_out")
    @classmethod
    def _named_once(cls, chosen: tuple[HoldOut, ...]) -> tuple[HoldOut, ...]:
        names = [one.name for one in chosen]
        if len(set(names)) < len(names):
            raise ValueError("two benchmarks of one name; give each its own")
        return chosen


class FolderSource(SourceSettings):
    """Settings of a published data set that lies in a folder as it was downloaded."""

    patients: ClassVar[str] = ""
    """Whose patients these are, where another kind has the same ones; otherwise the kind alone tells."""

    root: Path = Field(description="folder of the data set")
