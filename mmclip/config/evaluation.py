"""Settings of evaluation: which tasks, on what, with which intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mmclip.config.base import Settings
from mmclip.observations import FIVE, NO_FINDING, OBSERVATIONS

Task = Literal["zero_shot", "retrieval", "linear_probe", "fine_tune", "text", "audit"]
Cutoff = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.01, le=1)]


class PhantomBenchmark(Settings):
    """Classes, prompts and descriptions from the phantom's truth and its held-out wordings."""

    kind: Literal["phantom"] = "phantom"
    classes: tuple[str, ...] = Field(
        FIVE, min_length=2, description="a study that shows exactly one of them is a sample"
    )


class FileBenchmark(Settings):
    """What benchmarks of real data share: prompts from a file, texts from the data set's own reports."""

    prompts: Path = Field(description="YAML: language -> class -> sentences; relative to the checkout")
    prompts_text: str = Field(
        "native", pattern="^(native|mt:.+)$", description="native: written in each language; or translated, mt:<engine>"
    )
    texts: bool = Field(True, description="also retrieve the studies' own reports and their translations")


class LabelledBenchmark(FileBenchmark):
    """Classes from a data set's labels."""

    kind: Literal["labels"]
    label_source: str = Field("file", description="which labels: file (the data set's own), rules or official:<name>")
    classes: tuple[str, ...] = Field(
        min_length=1,
        description="observations; an image with exactly one of them is a sample. With one class, images without the "
        "observation form a second, `normal`",
    )
    normal: str = Field(
        NO_FINDING, description="name, among the prompts, of images where a single observation is absent"
    )
    only: str = Field(
        "", description="images with other beginnings of their id have no class: classes from one hospital, not two"
    )

    @field_validator("classes")
    @classmethod
    def _observations(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        for name in classes:
            if name not in OBSERVATIONS:
                raise ValueError(f"{name!r} is not one of the 14 observations ({', '.join(OBSERVATIONS)})")
        return classes


class HeldOutBenchmark(FileBenchmark):
    """The images that ingestion drew and kept from training, each in the class that it was drawn for."""

    kind: Literal["held_out"]
    held_out: str = Field(description="name of the benchmark under hold_out of the data set, as chexpert_5x200")
    label_source: str | None = Field(
        None, description="labels that go before that class where an image or its study has them: a radiologist's"
    )


Benchmark = Annotated[PhantomBenchmark | LabelledBenchmark | HeldOutBenchmark, Field(discriminator="kind")]


class EvaluateSettings(Settings):
    """What is measured of each aligned model."""

    tasks: tuple[Task, ...] = Field(
        ("zero_shot", "retrieval"),
        description='zero_shot: classes by prompts; retrieval; text: the text tower alone; audit: does a "no" count;'
        " linear_probe and fine_tune: the image tower with true labels",
    )
    benchmarks: dict[str, Benchmark] = Field({}, description="data set -> benchmark")
    split: Literal["val", "test"] = Field("test", description="val to choose settings; test for the final score only")
    resamples: int = Field(1000, ge=0, description="bootstrap draws of patients")
    precision_at: tuple[Cutoff, ...] = Field((1, 2, 5, 10), description="K of precision in retrieval by class")
    recall_at: tuple[Cutoff, ...] = Field((1, 5, 10), description="K of recall in retrieval by study")
    probe_fractions: tuple[Share, ...] = Field((1.0,), description="shares of the training images for linear_probe")
    # 20 epochs, 5e-4 and 64 are those of MedCLIP's release
    tune_epochs: int = Field(20, ge=1, description="epochs of fine_tune; the best on val is scored")
    tune_rate: float = Field(5e-4, gt=0, description="learning rate of fine_tune")
    batch_size: int = Field(64, ge=2, description="of fine_tune")
    seed: int = Field(0, ge=0, description="of the shares of linear_probe, and of fine_tune")
    error_budget: float = Field(
        0.001, ge=0, le=1, description="share of a split's images that packing may have skipped"
    )
