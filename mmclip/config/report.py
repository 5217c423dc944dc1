"""Settings of the report and of the search page: which experiment plays which part, and what may be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from mmclip.config.base import Settings
from mmclip.languages import LANGUAGES


class HeadlineEntry(Settings):
    """One row of the first figure: the accuracy of an experiment in one task."""

    label: str = Field(min_length=1, description="what the figure calls it")
    experiment: str = Field(description="its name in the config")
    task: Literal["zero_shot", "linear_probe", "fine_tune"] = Field("zero_shot", description="whose accuracy is shown")
    kind: Literal["method", "control", "ceiling"] = Field(
        "method", description="control: what should fail; ceiling: what saw the labels"
    )


class Variant(Settings):
    """An experiment that differs from the others in one thing, and what that is."""

    label: str = Field(min_length=1, description="what the figure calls it")
    experiment: str = Field(description="its name in the config")


class RealResult(Settings):
    """A result on real patients that was measured elsewhere."""

    label: str = Field(min_length=1, description="data set and question, in a few words")
    metrics: Path = Field(description="a metrics.json of `mmclip evaluate`; relative to the checkout")
    note: str = Field("", description="what a reader must know about it")


class ReportSettings(Settings):
    """The page of results. An experiment that was not run is left out, and the page says so."""

    title: str | None = Field(None, description="none: one that says in how many languages the model was tested")
    dataset: str | None = Field(None, description="data set of the headline; none: the first that was evaluated")
    headline: tuple[HeadlineEntry, ...] = Field(
        (
            HeadlineEntry(label="3M-CLIP", experiment="three_m_clip"),
            HeadlineEntry(label="CLIP", experiment="clip"),
            HeadlineEntry(label="shuffled pairs", experiment="shuffled_pairs", kind="control"),
            HeadlineEntry(label="bag-of-words text tower", experiment="bag_of_words", kind="control"),
            HeadlineEntry(label="supervised, image only", experiment="three_m_clip", task="fine_tune", kind="ceiling"),
        ),
        description="rows of the first figure; those that were not run are named as such",
    )
    filtering: tuple[Variant, ...] = Field(
        (
            Variant(label="filtered", experiment="three_m_clip"),
            Variant(label="no filter", experiment="three_m_clip_unfiltered"),
            Variant(label="oracle filter", experiment="three_m_clip_oracle"),
        ),
        description="the same experiment on corpora that were filtered differently, the reference first",
    )
    left_out: dict[str, str] = Field({}, description="experiment -> the language that it never saw")
    left_out_reference: str = Field("three_m_clip", description="the experiment that saw every language")
    real: RealResult | None = Field(None, description="none: no result on real patients is shown")
    examples: int = Field(6, ge=0, description="example images; only of data sets that may be shown")
    example_languages: tuple[str, ...] = Field(
        ("eng_Latn", "spa_Latn", "deu_Latn", "arb_Arab", "hin_Deva", "zho_Hans", "rus_Cyrl"),
        description="languages in which the examples are described",
    )
    smallest_cell: int = Field(10, ge=10, description="counts below it are not shown where a data set is restricted")

    @field_validator("example_languages")
    @classmethod
    def _known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        return _languages(codes)

    @field_validator("left_out")
    @classmethod
    def _known_values(cls, left_out: dict[str, str]) -> dict[str, str]:
        _languages(tuple(left_out.values()))
        return left_out


class RunParts(Settings):
    """What a run consists of. The rest of its folder is left from an earlier config and no part of a report."""

    datasets: tuple[str, ...] | None = Field(None, description="none: all that lie there, as for all of these")
    languages: tuple[str, ...] | None = Field(None, description="FLORES-200 codes")
    shards: tuple[str, ...] | None = Field(None, description="as phantom-000")
    experiments: tuple[str, ...] | None = Field(None, description="of every task")
    tasks: tuple[str, ...] | None = Field(None, description="of evaluation")
    benchmarks: tuple[str, ...] | None = Field(None, description="data sets that are scored")
    judged: bool = Field(True, description="whether validate/agreement.json, if it is there, is of the present sample")


class SearchSettings(Settings):
    """The search page: the test images that answer a sentence, in every language."""

    experiment: str = Field("three_m_clip", description="whose model answers")
    dataset: str = Field("phantom", description="whose test images are searched; nothing of a restricted one is shown")
    top: int = Field(12, ge=1, le=100, description="images for each sentence")
    thumbnail: int = Field(144, ge=32, le=512, description="edge of the pictures, in pixels")


def _languages(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        if code not in LANGUAGES:
            raise ValueError(f"{code!r} is not a language of mmclip (FLORES-200 code)")
    return codes
