"""``mmclip plan``: hours and storage that a data set of a given size will take. All of it is predicted.

Hours are by the clock, with all the cores or GPUs that a line names busy: two GPUs for ten hours are 20 GPU-hours.

A line's `basis` says what its prediction rests on: a rate that was measured, or an inference. Rates a core are reports,
sentences or images a second of processor time. "Indiana" is 3,160 reports of Indiana University (findings and
impression; 18,413 sentences, 7,214 distinct) on one core of an AMD EPYC that had other work too, so that they err
downward. They tell days from hours, not hours from minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
import pyarrow.parquet as parquet

from mmclip.config.ingest import PhantomSource
from mmclip.config.root import Config
from mmclip.config.training import DataSettings, ExperimentSettings, Optimisation

SENTENCES_PER_REPORT = 6.0
"""Measured on Indiana: 5.8."""

DISTINCT_SHARE = 0.39
"""Share of sentences that are distinct, measured on Indiana; it falls with size, so that this errs upward."""

WRITTEN_TOKENS_PER_REPORT = 97.3
DISTINCT_SHARE_OF_TOKENS = 0.484
"""Target tokens a report, and the share of them in distinct sentences, on Indiana: what is rare is long. Both are
`tokens_a_report` and `distinct_share_of_tokens` of docs/results/translation.json, by the assumptions that
docs/translation.md states."""

CPU_TOKENS_PER_SECOND = 52.4
"""NLLB-600M's shape, CTranslate2 int8, beam 4, vocabulary pruned, a core: half of what two cores of an AMD Zen 5 did
(last row of docs/results/translation.json). An earlier run on two cores of a Xeon (Sapphire Rapids) gave 60."""

A100_SENTENCES_PER_SECOND = 350.0
"""NLLB-600M, float16: 72 a second stated for a T4, times the ratio of the memory bandwidths (1555 to 320 GB a second).
Inferred, not measured."""

JPEGS_PER_SECOND = 90.0
"""Full-size JPEGs (2544 x 3056, 0.75 MB) decoded, resized and letterboxed to 256, a second a core. Measured by
``mmclip pack`` on four real radiographs that were enlarged to that size with noise."""

LABEL_REPORTS_PER_SECOND = 4200.0
"""A core, measured by the label stage on Indiana."""

FILTER_SENTENCES_PER_SECOND = 1700.0
"""Distinct pairs of source and translation, a core. Measured: 1,200 to 3,000 by language on Indiana, with each sentence
standing for its translation; 1,800 over the demo's 20 languages."""

TRANSLATED_BYTES = 95.0
STORED_BYTES = 115.0
FILTERED_BYTES = 240.0
LABEL_BYTES = 50.0
"""Written for each text, each distinct sentence (in the store), each text and each report: measured on Indiana, with
each sentence standing for its translation. Scripts of two or three bytes a letter take more."""

A100_PAIRS_PER_SECOND = 400.0
"""Training pairs a second on one A100, Swin-T and XLM-R base at 224 px. An inference from public single-tower rates."""

A100_TOKENS_PER_SECOND = 60_000.0
"""Tokens of language modelling a second on one A100, XLM-R base in bf16. An inference: 0.7 GFLOP a token, forward and
backward, the 250,000 pieces scored at 15 % of the tokens, at a seventh of the A100's 312 TFLOP/s."""

A100_CLASSIFIED_PER_SECOND = 300.0
"""Training images a second on one A100, DenseNet-121 at 256 px. An inference from public rates at 224 px."""

TOKENS_PER_TEXT = 80.0
"""A report of six sentences with its frame; a sentence alone is counted as much, so that this errs upward."""


class Size(NamedTuple):
    """What a data set holds.

    Attributes:
        reports, images: how many.
        studies: with an image that training may show; an epoch shows each once, by one of its images.
    """

    reports: int
    images: int
    studies: int


PUBLISHED = {
    "mimic_cxr": Size(227_827, 377_110, 227_827),
    "chexpert": Size(0, 223_648, 187_841),
    "chexpert_plus": Size(187_711, 223_462, 187_711),
    "open_i": Size(3_955, 7_470, 3_955),
    "padchest": Size(109_931, 160_868, 109_931),
    "nih_cxr14": Size(0, 112_120, 112_120),
    "rsna_pneumonia": Size(0, 26_684, 26_684),
    "siim_pneumothorax": Size(0, 12_047, 12_047),
    "covid_radiography": Size(0, 21_165, 21_165),
    "covidx": Size(0, 30_882, 30_882),
    "vindr_cxr": Size(0, 18_000, 18_000),
}
"""Kind of data set -> as published, some from memory; all its studies, though some have no frontal image. What was
ingested is counted instead."""


@dataclass(frozen=True)
class Line:
    """One stage's cost.

    Attributes:
        hours: by the clock, with all machines busy.
        machines, unit: how many of what.
        gigabytes: written.
        basis: what the figure rests on.
        instead: whether it is another way to do what a line beside it does, so that no sum counts it.
    """

    stage: str
    hours: float
    machines: int
    unit: Literal["core", "GPU"]
    gigabytes: float
    basis: str
    instead: bool = False


def plan(reports: int, images: int, languages: int, pixels: int, epochs: int, cores: int, gpus: int) -> list[Line]:
    """Predicted cost of every expensive stage for a data set.

    Args:
        reports, images: how many of each.
        languages: target languages.
        pixels: side of the packed images.
        epochs: of image-text pretraining, each image once.
        cores, gpus: working at once; without a GPU the lines that need one are for one.
    """
    data = _data(reports, images, languages, pixels, cores, max(gpus, 1), on_gpu=gpus > 0)
    return [*data, _alignment("pretrain", epochs * images, max(gpus, 1))]


def plan_run(config: Config, experiments: Mapping[str, ExperimentSettings], cores: int) -> list[Line]:
    """Predicted cost of a run of the workflow, its experiments one after the other.

    Args:
        experiments: those of the config, by name.
        cores: working at once.
    """
    known = sizes(config)
    whole = _together(known.values())
    gpus, languages = max(config.gpus, 1), len(config.languages) - 1
    lines = _data(whole.reports, whole.images, languages, config.pack.size, cores, gpus, _translates_on_gpu(config))
    trained = _together(known[name] for name in config.train_on or known)
    texts = trained.reports * len(config.languages)
    for name, settings in experiments.items():
        optimisation = settings.optimisation
        if settings.task == "text":
            tokens = (
                _seen(optimisation, texts) * TOKENS_PER_TEXT * (1.5 if settings.language_modelling.translation else 1)
            )
            hours = tokens / A100_TOKENS_PER_SECOND / 3600 / gpus
            lines.append(Line(f"pretrain-text {name}", hours, gpus, "GPU", 3, "inferred: XLM-R base on A100s"))
        elif settings.task == "classify":
            shown = _seen(optimisation, trained.studies) * settings.classify.folds
            hours = shown / A100_CLASSIFIED_PER_SECOND / 3600
            lines.append(Line(f"predict-labels {name}", hours, 1, "GPU", 1, "inferred: DenseNet-121 on an A100"))
        else:
            lines.append(_alignment(f"pretrain {name}", _seen(optimisation, trained.studies), gpus))
    return lines


def _translates_on_gpu(config: Config) -> bool:
    """Whether an engine of the run's languages, or one that it falls back on, may use a GPU."""
    translate = config.translate
    todo = {translate.engine_of(code) for code in config.languages if code != config.filter.source}
    used: set[str] = set()
    while todo:
        used |= todo
        todo = {name for one in todo if (name := getattr(translate.engines[one], "fallback", None))} - used
    return any(getattr(translate.engines[name], "device", "cpu") != "cpu" for name in used)


def sizes(config: Config) -> dict[str, Size]:
    """Data set -> its size: counted where it was ingested, else published, else (a table) unknown, as 0."""
    out = {}
    for name, source in config.datasets.items():
        ingested = Path(config.results, config.run, "ingest", name)
        studies, images = (ingested / f"{table}.parquet" for table in ("studies", "images"))
        if studies.exists() and images.exists():
            shown = pl.scan_parquet(images).filter(pl.col("view").is_in(DataSettings().views))
            counted = shown.select(pl.col("study_id").n_unique()).collect().item()
            out[name] = Size(_rows(studies), _rows(images), counted)
        elif isinstance(source, PhantomSource):
            out[name] = Size(source.n, source.n, source.n)
        else:
            out[name] = PUBLISHED.get(source.kind, Size(0, 0, 0))
    return out


def _rows(file: Path) -> int:
    return int(parquet.read_metadata(file).num_rows)


def _together(parts: Iterable[Size]) -> Size:
    return Size(*(sum(numbers) for numbers in zip(*parts, strict=True)))


def table(lines: Iterable[Line]) -> str:
    """The lines as text, and their sum."""
    counted = list(lines)
    rows = ["predicted, not measured: each line says what it rests on; hours by the clock, with all cores or GPUs busy"]
    for line in counted:
        machines = f"{line.machines} {line.unit}{'s' if line.machines > 1 else ''}"
        basis = f"{line.basis}{': instead of the other line' if line.instead else ''}"
        rows.append(f"{line.stage:28} {line.hours:9.1f} h on {machines:8} {line.gigabytes:8.1f} GB   {basis}")
    hours, gigabytes = total(counted)
    rows.append(f"{'one after the other':28} {hours:9.1f} h {'':11} {gigabytes:8.1f} GB")
    return "\n".join(rows)


def total(lines: Iterable[Line]) -> tuple[float, float]:
    """Hours of all lines one after the other, and gigabytes; without those that stand instead of another."""
    counted = [line for line in lines if not line.instead]
    return sum(line.hours for line in counted), sum(line.gigabytes for line in counted)


def _data(reports: int, images: int, languages: int, pixels: int, cores: int, gpus: int, on_gpu: bool) -> list[Line]:
    """The stages before training; `on_gpu` says which of the two lines of translation counts."""
    texts = reports * languages
    sentences = texts * SENTENCES_PER_REPORT * DISTINCT_SHARE
    # what takes time is tokens: long sentences repeat less than short ones
    tokens = texts * WRITTEN_TOKENS_PER_REPORT * DISTINCT_SHARE_OF_TOKENS
    translate_cpu = tokens / CPU_TOKENS_PER_SECOND / 3600 / cores
    translate_gpu = texts * SENTENCES_PER_REPORT * DISTINCT_SHARE_OF_TOKENS / A100_SENTENCES_PER_SECOND / 3600 / gpus
    translated = (texts * TRANSLATED_BYTES + sentences * STORED_BYTES) / 1e9
    filter_cpu = sentences / FILTER_SENTENCES_PER_SECOND / 3600 / cores
    label_cpu = reports / LABEL_REPORTS_PER_SECOND / 3600
    once = "measured rate, distinct sentences once"
    return [
        Line(
            "pack", images / JPEGS_PER_SECOND / 3600 / cores, cores, "core", images * pixels**2 / 1e9, "measured rate"
        ),
        Line("translate (CPU)", translate_cpu, cores, "core", translated, f"NLLB-600M's {once}", instead=on_gpu),
        Line(
            "translate (A100)", translate_gpu, gpus, "GPU", translated, "inferred from a T4's rate", instead=not on_gpu
        ),
        Line("filter", filter_cpu, cores, "core", texts * FILTERED_BYTES / 1e9, once),
        Line("label", label_cpu, 1, "core", reports * LABEL_BYTES / 1e9, "measured rate"),
    ]


def _alignment(stage: str, pairs: float, gpus: int) -> Line:
    hours = pairs / A100_PAIRS_PER_SECOND / 3600 / gpus
    return Line(stage, hours, gpus, "GPU", 5, "inferred from public rates: Swin-T and XLM-R base on A100s")


def _seen(optimisation: Optimisation, items: int) -> float:
    """How many items a training sees."""
    if optimisation.steps is not None:
        return optimisation.steps * optimisation.batch_size
    return (optimisation.epochs or 0) * items
