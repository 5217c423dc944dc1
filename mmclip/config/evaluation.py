"""Settings of evaluation: which tasks, on what, with which intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mmclip.config.base import Settings
from mmclip.observations import FIVE

Task = Literal["zero_shot", "retrieval", "linear_probe", "fine_tune", "text", "audit"]


class PhantomBenchmark(Settings):
    """Classes, prompts and descriptions from the phantom's truth and its held-out wordings."""

    kind: Literal["phantom"] = "phantom"
    classes: tuple[str, ...] = Field(FIVE, description="a study that shows exactly one of them is a sample")


class LabelledBenchmark(Settings):
    """Classes from a data set's labels, prompts from a file, texts from the data set's own reports."""

    kind: Literal["labels"]
    label_source: str = "file"
    classes: tuple[str, ...] = Field(description="observations; with one, samples are `present` or `absent` of it")
    prompts: Path = Field(description="YAML: language -> class -> sentences")
    normal: str = Field("No Finding", description="class of samples that show none of a single observation")
    only: str = Field("", description="image ids must start with this: classes from one hospital, not two")
    texts: bool = Field(True, description="also retrieve the studies' own reports and their translations")


Benchmark = Annotated[PhantomBenchmark | LabelledBenchmark, Field(discriminator="kind")]


class EvaluateSettings(Settings):
    """What is measured of each aligned model."""

    tasks: tuple[Task, ...] = ("zero_shot", "retrieval")
    benchmarks: dict[str, Benchmark] = Field({}, description="data set -> benchmark")
    split: Literal["val", "test"] = Field("test", description="val to choose settings; test for the final score only")
    resamples: int = Field(1000, ge=0, description="bootstrap draws of patients")
    level: float = Field(0.95, gt=0, lt=1, description="coverage of intervals")
    precision_at: tuple[int, ...] = (1, 2, 5, 10)
    recall_at: tuple[int, ...] = (1, 5, 10)
    probe_fractions: tuple[float, ...] = Field((1.0,), description="shares of the training images for linear_probe")
    tune_epochs: int = Field(3, ge=1, description="epochs of fine_tune; the best on val is scored")
    tune_rate: float = Field(5e-4, gt=0, description="learning rate of fine_tune")
    batch_size: int = Field(128, ge=1)
    seed: int = Field(0, ge=0)
