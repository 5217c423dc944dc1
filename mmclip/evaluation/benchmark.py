"""Benchmarks from ingested data: who is in the test, in which class, and what the text tower is asked."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.config.base import read_yaml
from mmclip.config.evaluation import LabelledBenchmark, PhantomBenchmark
from mmclip.errors import UserError
from mmclip.languages import LANGUAGES
from mmclip.observations import PRESENT, column
from mmclip.phantom import phrasebook, reports
from mmclip.phantom.truth import FINDINGS, Finding, Truth
from mmclip.tables.benchmark import Benchmark, Sample
from mmclip.tables.files import read_table, read_tables
from mmclip.tables.filtering import CORPUS
from mmclip.tables.ingest import IMAGES
from mmclip.tables.labeling import LABELS
from mmclip.tables.phantom import TRUTH

Prompts = dict[str, dict[str, tuple[str, ...]]]


def phantom_benchmark(
    settings: PhantomBenchmark, name: str, folder: Path, split: str, languages: tuple[str, ...]
) -> Benchmark:
    """The benchmark of simulated studies: true classes, held-out wordings only.

    Args:
        folder: the data set as ingested, with its truth.
    """
    images = read_table(folder / "images.parquet", IMAGES).filter(pl.col("split") == split)
    truths = read_truths(folder)
    samples, texts = [], {}
    for row in images.sort("image_id").iter_rows(named=True):
        truth = truths.get(row["study_id"], Truth(row["study_id"], row["patient_id"], 0))
        shown = [name for name in settings.classes if name in truth.observations]
        label = settings.classes.index(shown[0]) if len(shown) == 1 else None
        samples.append(Sample(**_identity(row), label=label))
        texts[row["study_id"]] = truth
    return Benchmark(
        dataset=name,
        split=split,
        test_text="phrasebook",
        classes=settings.classes,
        samples=tuple(samples),
        prompts={
            code: {label: tuple(phrasebook.prompts(code, label)) for label in settings.classes} for code in languages
        },
        texts={code: {study: reports.describe(truth, code) for study, truth in texts.items()} for code in languages},
        negations={code: tuple(_negations(code)) for code in languages},
        parallel={code: tuple(_held_out(code)) for code in languages},
    )


def read_truths(folder: Path) -> dict[str, Truth]:
    """What each study with a finding shows, from an ingested phantom."""
    out: dict[str, Truth] = {}
    for study, rows in read_table(folder / "truth.parquet", TRUTH).group_by("study_id", maintain_order=True):
        findings = tuple(Finding(**{k: v for k, v in row.items() if k != "study_id"}) for row in rows.to_dicts())
        out[str(study[0])] = Truth(str(study[0]), "", 0, findings)
    return out


def _negations(language: str) -> list[tuple[str, str]]:
    """Each finding's held-out statement with its held-out denial."""
    pairs = []
    for finding in FINDINGS:
        denials = phrasebook.frames(role="held_out", kind="absent", finding=finding)
        stated = phrasebook.prompts(language, finding)[0]
        pairs += [(stated, phrasebook.realise(language, frame.id, {})) for frame in denials]
    return pairs


def _held_out(language: str) -> list[str]:
    """Every held-out sentence without slots, in one order for all languages."""
    return [phrasebook.realise(language, f.id, {}) for f in phrasebook.frames(role="held_out") if not f.slots]


def labelled_benchmark(
    settings: LabelledBenchmark,
    name: str,
    folder: Path,
    split: str,
    languages: tuple[str, ...],
    corpus: list[Path],
    engine: str,
) -> Benchmark:
    """The benchmark of a data set with labels: prompts from a file, texts from its own reports and their translations.

    Args:
        folder: the data set as ingested.
        corpus: corpus shards to take translated reports from.
        engine: what translated them, for `test_text`.
    """
    images = read_table(folder / "images.parquet", IMAGES).filter(pl.col("split") == split)
    images = images.filter(pl.col("image_id").str.starts_with(settings.only)) if settings.only else images
    labels = read_table(folder / "labels.parquet", LABELS).filter(pl.col("label_source") == settings.label_source)
    by_id = {row["id"]: row for row in labels.iter_rows(named=True)}
    classes = settings.classes if len(settings.classes) > 1 else (settings.normal, *settings.classes)
    samples = [
        Sample(**_identity(row), label=_class_of(by_id.get(row["image_id"]) or by_id.get(row["study_id"]), classes))
        for row in images.sort("image_id").iter_rows(named=True)
    ]
    texts: dict[str, dict[str, str]] = {}
    if settings.texts:
        studies = {sample.study_id for sample in samples}
        for row in read_tables(list(corpus), CORPUS).filter(pl.col("study_id").is_in(studies)).iter_rows(named=True):
            texts.setdefault(row["language"], {})[row["study_id"]] = row["text"]
    return Benchmark(
        dataset=name,
        split=split,
        test_text=f"mt:{engine}",
        classes=classes,
        samples=tuple(samples),
        prompts=_read_prompts(settings.prompts, classes, languages),
        texts=texts,
    )


def _identity(row: dict[str, str]) -> dict[str, str]:
    return {key: row[key] for key in ("image_id", "study_id", "patient_id")}


def _class_of(labels: dict[str, int | None] | None, classes: tuple[str, ...]) -> int | None:
    """The one class that is present, or None: none, several, or no labels."""
    present = [i for i, name in enumerate(classes) if labels is not None and labels[column(name)] == PRESENT]
    return present[0] if len(present) == 1 else None


def _read_prompts(
    file: Path, classes: tuple[str, ...], languages: tuple[str, ...]
) -> dict[str, dict[str, tuple[str, ...]]]:
    content = read_yaml(file)
    out: dict[str, dict[str, tuple[str, ...]]] = {}
    for language, by_class in content.items():
        if language not in LANGUAGES:
            raise UserError(f"{file}: {language!r} is not a language of mmclip; known: {', '.join(LANGUAGES)}")
        missing = [name for name in classes if not by_class.get(name)]
        if missing:
            raise UserError(f"{file}: {language}: no prompts for {missing[0]!r}; give at least one sentence")
        if language in languages:
            out[language] = {name: tuple(by_class[name]) for name in classes}
    if not out:
        raise UserError(f"{file}: none of the configured languages ({', '.join(languages)}) has prompts")
    return out
