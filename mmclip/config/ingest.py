"""Settings of reading the sources: one model for each kind of data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from mmclip.config.base import Settings, parse
from mmclip.errors import UserError
from mmclip.languages import ENGLISH, LANGUAGES
from mmclip.observations import OBSERVATIONS

SectionPolicy = Literal["both", "findings", "impression", "longest"]

Fraction = Annotated[float, Field(ge=0, le=1)]


ChosenLabels = Literal["rules", "official:chexpert", "official:negbio", "file"]


def _observations(columns: dict[str, str]) -> dict[str, str]:
    for name in columns:
        if name not in OBSERVATIONS:
            raise ValueError(f"{name!r} is not one of the 14 observations ({', '.join(OBSERVATIONS)})")
    return columns


ObservationColumns = Annotated[dict[str, str], AfterValidator(_observations)]
"""Observation -> column."""


class SplitShares(Settings):
    """How patients without an official split are dealt out; see :mod:`mmclip.ingest.splits`."""

    train: Fraction = 0.7
    val: Fraction = 0.1
    test: Fraction = 0.2
    salt: str = Field("mmclip", description="changes who goes where; written into the card")

    @model_validator(mode="after")
    def _whole(self) -> SplitShares:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test must be 1, not {self.train + self.val + self.test:g}")
        return self


class PhantomSource(Settings):
    """Simulated studies: radiographs, reports and the truth behind both."""

    kind: Literal["phantom"] = "phantom"
    n: int = Field(2000, ge=1, description="number of studies")
    seed: int = Field(0, ge=0)
    size: int = Field(256, ge=64, le=2048, description="edge of the square images in pixels")
    uncertain_rate: Fraction = Field(0.12, description="share of findings that the report hedges")
    wrong_rate: Fraction = Field(0.02, description="share of statements that are not what the image shows")
    splits: SplitShares = SplitShares()
    workers: int = Field(1, ge=1, description="processes; the result does not depend on it")


class Columns(Settings):
    """Which column of the user's table holds what; None where it has no such column."""

    id: str = Field("study_id", description="the study; several rows of one study hold several images")
    patient: str | None = Field(None, description="without it, every study is a patient of its own")
    image: str | None = Field(None, description="image file, relative to `image_root`")
    text: str | None = Field(None, description="whole report; it is split into sections")
    findings: str | None = Field(None, description="findings, where sections have columns of their own")
    impression: str | None = None
    report: str | None = Field(None, description="file that holds the report, relative to `report_root`")
    view: str | None = None
    split: str | None = Field(None, description="official split: train, val, test or their usual synonyms")
    language: str | None = Field(None, description="FLORES-200 code of the text")
    labels: ObservationColumns = Field({}, description="observation -> column with 1, 0, -1 or nothing")

    @model_validator(mode="after")
    def _enough(self) -> Columns:
        if sum([self.text is not None, self.report is not None, bool(self.findings or self.impression)]) > 1:
            raise ValueError("give one of text, report, or findings and impression")
        if not (self.image or self.text or self.report or self.findings or self.impression):
            raise ValueError("give at least image, text, report, findings or impression")
        return self

    def named(self) -> dict[str, str]:
        """Key -> column, of the columns that the table must have (labels as ``labels.<observation>``)."""
        single = {key: value for key, value in self.model_dump(exclude={"labels"}).items() if value is not None}
        return single | {f"labels.{name}": column for name, column in self.labels.items()}


class GivenLabels(Settings):
    """Which labels of a data set count, and where those are that it brings."""

    source: ChosenLabels = Field(
        "rules",
        description="which labels of its studies and images count: those that the rules read from their reports, or"
        " those that it brings, by the name of what made them. With rules, labels that it brings are kept as `file`,"
        " for studies without a report and for benchmarks. A text's sentences are labelled by the rules in any case",
    )
    kind: Literal["study", "image"] = Field("study", description="what a label describes")
    file: Path | None = Field(
        None,
        description="table of labels (CSV, TSV, Parquet, gzipped or not); without it, `columns.labels` of the table",
    )
    id: str | None = Field(None, description="its column of study ids; of kind image, of images as `columns.image` has")
    columns: ObservationColumns = Field(
        {}, description="observation -> its column; without it, the columns that have the observations' names"
    )

    @model_validator(mode="after")
    def _whole(self) -> GivenLabels:
        if (self.file is None) != (self.id is None) or (self.columns and self.file is None):
            raise ValueError("file, and id, the column of its ids, belong together (columns.labels is for the table)")
        return self

    @property
    def name(self) -> str:
        """The column `label_source` of the labels that the data set brings."""
        return "file" if self.source == "rules" else self.source


class TableSource(Settings):
    """A table of the user's studies (CSV, TSV or Parquet, by its ending) with images and reports."""

    kind: Literal["table"] = "table"
    file: Path
    columns: Columns
    image_root: Path | None = Field(None, description="folder of the images; the table's folder by default")
    report_root: Path | None = Field(None, description="folder of report files; the table's folder by default")
    separator: str | None = Field(None, min_length=1, max_length=1, description="',' for .csv and tab for .tsv")
    encoding: Literal["utf-8", "latin-1"] = Field("utf-8", description="of a CSV or TSV file")
    language: str = Field(ENGLISH, description="language of the reports where no column says it")
    sections: SectionPolicy = Field("both", description="what of a report becomes a study's text")
    splits: SplitShares = SplitShares()
    labels: GivenLabels = GivenLabels()
    error_budget: Fraction = Field(0.001, description="share of rows that may be skipped before the stage fails")
    pixel_limit: int = Field(128_000_000, ge=1, description="larger images are skipped unread")
    version: str = Field("", description="of the data set, for the card")
    licence: str = Field("unknown", description="for the card")
    share: Literal["public", "restricted"] = Field("restricted", description="restricted: nothing of it may be shown")
    workers: int = Field(4, ge=1, description="threads that read the files; the result does not depend on it")

    @model_validator(mode="after")
    def _has_its_labels(self) -> TableSource:
        if self.labels.file is not None and self.columns.labels:
            raise ValueError("labels.file and columns.labels: give one of them")
        if self.labels.source != "rules" and self.labels.file is None and not self.columns.labels:
            raise ValueError(f"labels.source: {self.labels.source} needs labels; give labels.file or columns.labels")
        if self.labels.kind == "image" and self.columns.image is None:
            raise ValueError("labels.kind: image needs columns.image")
        return self

    @field_validator("language")
    @classmethod
    def _known(cls, code: str) -> str:
        if code not in LANGUAGES:
            raise ValueError(f"not one of the 21 languages ({', '.join(LANGUAGES)})")
        return code


Source = PhantomSource | TableSource

_KINDS: dict[str, type[PhantomSource] | type[TableSource]] = {"phantom": PhantomSource, "table": TableSource}


def parse_source(values: Any, where: str = "settings") -> Source:
    """Check the settings of a data set against the model of its `kind`.

    Raises:
        UserError: the kind is missing or unknown, or another key is wrong.
    """
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in _KINDS:
        raise UserError(f"{where}: kind: found {kind!r}; it must be one of {', '.join(_KINDS)}")
    return parse(_KINDS[kind], values, where)
