"""Settings of reading the sources: one model for each kind of data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from mmclip.config.base import Settings, parse
from mmclip.config.source import FolderSource, Fraction, ObservationColumns, SourceSettings, SplitShares
from mmclip.errors import UserError
from mmclip.languages import ENGLISH, LANGUAGES

ChosenLabels = Literal["rules", "official:chexpert", "official:negbio", "file"]


class PhantomSource(Settings):
    """Simulated studies: radiographs, reports and the truth behind both."""

    kind: Literal["phantom"] = "phantom"
    n: int = Field(2000, ge=1, description="number of studies")
    seed: int = Field(0, ge=0, description="of the drawn films, truths and reports")
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
    impression: str | None = Field(None, description="impression, as findings")
    report: str | None = Field(None, description="file that holds the report, relative to `report_root`")
    view: str | None = Field(None, description="view of the image, as PA, AP or Lateral; without it, UNKNOWN")
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


class TableSource(SourceSettings):
    """A table of the user's studies (CSV, TSV or Parquet, by its ending) with images and reports."""

    kind: Literal["table"] = "table"
    file: Path = Field(description="the table; its ending, .csv, .tsv or .parquet, says what it is")
    columns: Columns
    image_root: Path | None = Field(None, description="folder of the images; the table's folder by default")
    report_root: Path | None = Field(None, description="folder of report files; the table's folder by default")
    separator: str | None = Field(None, min_length=1, max_length=1, description="',' for .csv and tab for .tsv")
    encoding: Literal["utf-8", "latin-1"] = Field("utf-8", description="of a CSV or TSV file")
    language: str = Field(ENGLISH, description="language of the reports where no column says it")
    labels: GivenLabels = GivenLabels()
    version: str = Field("", description="of the data set, for the card")
    licence: str = Field("unknown", description="for the card")
    share: Literal["public", "restricted"] = Field("restricted", description="restricted: nothing of it may be shown")

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


class ChosenSource(Settings):
    """Whose labels of a data set's studies count."""

    source: ChosenLabels = Field(
        "rules",
        description="rules: those read from the reports, and the published ones only where there is no report;"
        " otherwise those published, by the name of what made them",
    )


class ReportedSource(FolderSource):
    """Settings of a published data set that has reports and labels: whose labels count is a choice."""

    published: ClassVar[tuple[str, ...]] = ("file",)
    """Sources of the labels that it brings."""

    labels: ChosenSource = ChosenSource()

    @model_validator(mode="after")
    def _brings_them(self) -> ReportedSource:
        known = ("rules", *self.published)
        if self.labels.source not in known:
            raise ValueError(f"labels.source: {self.kind} has no {self.labels.source}; choose of {', '.join(known)}")
        return self


class MimicCxrSource(ReportedSource):
    """MIMIC-CXR-JPG, or MIMIC-CXR with its DICOM files, with the reports of MIMIC-CXR."""

    kind: Literal["mimic_cxr"] = "mimic_cxr"
    root: Path = Field(description="folder of MIMIC-CXR-JPG: the four .csv.gz and, with images: jpg, files/")
    reports: Path | None = Field(
        None,
        description="folder that holds MIMIC-CXR's files/p10/..., unpacked from mimic-cxr-reports.zip; root if none",
    )
    images: Literal["jpg", "dicom", "none"] = Field("jpg", description="none: reports alone, as for the text encoder")
    dicom_root: Path | None = Field(None, description="folder of MIMIC-CXR, for images: dicom; root if none")
    published: ClassVar[tuple[str, ...]] = ("official:chexpert", "official:negbio")


class ChexpertSource(FolderSource):
    """CheXpert v1.0 or v1.0-small: images with official labels, without reports."""

    patients: ClassVar[str] = "CheXpert"
    kind: Literal["chexpert"] = "chexpert"


class ChexpertPlusSource(ReportedSource):
    """CheXpert Plus: CheXpert's images with their reports."""

    patients: ClassVar[str] = "CheXpert"
    kind: Literal["chexpert_plus"] = "chexpert_plus"
    images: Literal["png", "dicom"] = Field("png", description="which of its two forms of the images lies below `root`")
    published: ClassVar[tuple[str, ...]] = ("official:chexpert",)


class OpenISource(ReportedSource):
    """Open-I's chest radiographs of Indiana University: a report in XML, PNG or DICOM images."""

    kind: Literal["open_i"] = "open_i"
    images: Literal["png", "dicom"] = Field("png", description="which of its two forms of the images lies below `root`")


class PadchestSource(ReportedSource):
    """PadChest: Spanish reports, stemmed as they were published, and 16-bit PNG."""

    kind: Literal["padchest"] = "padchest"


class NihCxr14Source(FolderSource):
    """NIH ChestX-ray14: images with labels that were read from reports by machine."""

    kind: Literal["nih_cxr14"] = "nih_cxr14"


class RsnaPneumoniaSource(FolderSource):
    """The RSNA Pneumonia Detection Challenge (2018), stage 2: DICOM images with boxes."""

    kind: Literal["rsna_pneumonia"] = "rsna_pneumonia"


class SiimPneumothoraxSource(FolderSource):
    """The SIIM-ACR Pneumothorax Segmentation challenge (2019): DICOM images with masks."""

    kind: Literal["siim_pneumothorax"] = "siim_pneumothorax"


class CovidRadiographySource(FolderSource):
    """The COVID-19 Radiography Database: PNG images in one folder a class."""

    kind: Literal["covid_radiography"] = "covid_radiography"


class CovidxSource(FolderSource):
    """COVIDx: lists of images with their class, in many versions."""

    kind: Literal["covidx"] = "covidx"
    lists: str = Field(
        "COVIDx9A",
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="version of the lists: COVIDx9A for train_COVIDx9A.txt (3 classes); '' for train.txt (2 classes)",
    )


class VindrCxrSource(FolderSource):
    """VinDr-CXR of PhysioNet: DICOM images with labels and boxes of three radiologists each."""

    kind: Literal["vindr_cxr"] = "vindr_cxr"


FOLDER_SOURCES: tuple[type[FolderSource], ...] = (
    MimicCxrSource,
    ChexpertSource,
    ChexpertPlusSource,
    OpenISource,
    PadchestSource,
    NihCxr14Source,
    RsnaPneumoniaSource,
    SiimPneumothoraxSource,
    CovidRadiographySource,
    CovidxSource,
    VindrCxrSource,
)
"""The published data sets."""

Source = Annotated[
    PhantomSource
    | TableSource
    | MimicCxrSource
    | ChexpertSource
    | ChexpertPlusSource
    | OpenISource
    | PadchestSource
    | NihCxr14Source
    | RsnaPneumoniaSource
    | SiimPneumothoraxSource
    | CovidRadiographySource
    | CovidxSource
    | VindrCxrSource,
    Field(discriminator="kind"),
]
"""A data set of the config. Each kind is read by the module of that name in `mmclip.ingest.adapters`."""

_KINDS: dict[str, type[PhantomSource] | type[SourceSettings]] = {
    "phantom": PhantomSource,
    "table": TableSource,
    **{model.model_fields["kind"].default: model for model in FOLDER_SOURCES},
}

KINDS: tuple[str, ...] = tuple(_KINDS)
"""The kinds of data sets there are."""


def parse_source(values: Any, where: str = "settings") -> PhantomSource | SourceSettings:
    """Check the settings of a data set against the model of its `kind`.

    Raises:
        UserError: the kind is missing or unknown, or another key is wrong.
    """
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind not in _KINDS:
        raise UserError(f"{where}: kind: found {kind!r}; it must be one of {', '.join(_KINDS)}")
    return parse(_KINDS[kind], values, where)
