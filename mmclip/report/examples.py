"""Test images with what a model says of them in several languages: the sentence that lies nearest to each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmclip.data.packed import PackedImages
from mmclip.data.thumbnail import data_uri, read_pictures
from mmclip.languages import LANGUAGES, Language
from mmclip.tables.benchmark import Benchmark, Sample
from mmclip.tables.evaluation import PREDICTIONS
from mmclip.tables.files import read_table
from mmclip.tables.ingest import STUDIES

EDGE = 224


@dataclass(frozen=True)
class Said:
    """What the model says in one language: the first prompt of the class that it takes the image for."""

    language: Language
    sentence: str
    named: str
    right: bool


@dataclass(frozen=True)
class Example:
    """One image with its class, its report and what is said of it."""

    picture: str
    truth: str
    report: str
    identity: str
    said: tuple[Said, ...]


def examples(
    results: Path, experiment: str, benchmark: Benchmark, languages: tuple[str, ...], number: int
) -> list[Example]:
    """The examples of one data set; the caller has made sure that they may be shown.

    Images are taken class after class, each in the order of a hash of its id: results play no part in the choice.
    """
    path = results / "evaluate" / experiment / "zero_shot" / benchmark.dataset / "predictions.parquet"
    pack = results / "pack" / benchmark.dataset
    if not number or not path.is_file() or not (pack / "index.parquet").is_file():
        return []
    images = PackedImages([pack])
    chosen = choose(benchmark, [s for s in benchmark.labelled if s.image_id in images], number)
    ids = [sample.image_id for sample in chosen]
    predicted = {
        (image, code): name
        for image, code, name in read_table(path, PREDICTIONS)
        .filter(pl.col("id").is_in(ids))
        .select("id", "language", "predicted")
        .iter_rows()
    }
    texts = _reports(results, benchmark.dataset, [sample.study_id for sample in chosen])
    pictures = read_pictures(images, results / "ingest" / benchmark.dataset, ids)
    out = []
    for sample, pixels in zip(chosen, pictures, strict=True):
        truth = benchmark.classes[sample.label or 0]
        said = [
            Said(LANGUAGES[code], benchmark.prompts[code][name][0], name, name == truth)
            for code in languages
            if (name := predicted.get((sample.image_id, code))) and code in benchmark.prompts
        ]
        out.append(Example(data_uri(pixels, EDGE), truth, texts.get(sample.study_id, ""), sample.image_id, tuple(said)))
    return out


def choose(benchmark: Benchmark, samples: list[Sample], number: int) -> list[Sample]:
    """`number` samples: the first of each class, then the second of each, ... by a hash of their ids."""
    by_class: dict[int, list[Sample]] = {}
    for sample in sorted(samples, key=lambda one: hashlib.sha256(one.image_id.encode()).digest()):
        by_class.setdefault(sample.label or 0, []).append(sample)
    ranked = [(place, label, sample) for label, group in by_class.items() for place, sample in enumerate(group)]
    return [sample for _, _, sample in sorted(ranked, key=lambda one: one[:2])[:number]]


def film_strip(results: Path, benchmark: Benchmark, number: int, edge: int) -> list[str]:
    """Pictures for the head of the page, chosen as the examples are."""
    pack = results / "pack" / benchmark.dataset
    if not (pack / "index.parquet").is_file():
        return []
    images = PackedImages([pack])
    chosen = choose(benchmark, [s for s in benchmark.labelled if s.image_id in images], number)
    ids = [sample.image_id for sample in chosen]
    pictures = read_pictures(images, results / "ingest" / benchmark.dataset, ids)
    return [data_uri(pixels, edge) for pixels in pictures]


def _reports(results: Path, dataset: str, studies: list[str]) -> dict[str, str]:
    path = results / "ingest" / dataset / "studies.parquet"
    if not path.is_file():
        return {}
    table = read_table(path, STUDIES).filter(pl.col("study_id").is_in(studies))
    return dict(table.select("study_id", "text").iter_rows())
