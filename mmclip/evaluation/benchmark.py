"""Benchmarks from ingested data: who is in the test, in which class, and what the text tower is asked."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mmclip.config.documents import read_yaml
from mmclip.config.evaluation import EvaluateSettings, LabelledBenchmark, PhantomBenchmark
from mmclip.errors import UserError
from mmclip.languages import language
from mmclip.observations import ABSENT, NO_FINDING, PRESENT, SUPPORT_DEVICES, State, column
from mmclip.phantom import phrasebook, reports
from mmclip.phantom.truth import FINDINGS, Finding, Truth
from mmclip.tables.benchmark import Benchmark, Sample, write_benchmark
from mmclip.tables.files import read_table, read_tables
from mmclip.tables.filtering import CORPUS
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import LABELS
from mmclip.tables.phantom import TRUTH

Prompts = dict[str, dict[str, tuple[str, ...]]]


def make_benchmark(
    settings: EvaluateSettings,
    dataset: str,
    folder: Path,
    split: str,
    languages: tuple[str, ...],
    corpus: list[Path],
    engine: str,
    output: Path,
) -> Benchmark:
    """Write the benchmark of an ingested data set's split.

    Raises:
        UserError: the settings name no benchmark for the data set, or the split has no sample with a class.
    """
    chosen = settings.benchmarks.get(dataset)
    if isinstance(chosen, PhantomBenchmark):
        made = phantom_benchmark(chosen, dataset, folder, split, languages)
    elif isinstance(chosen, LabelledBenchmark):
        made = labelled_benchmark(chosen, dataset, folder, split, languages, corpus, engine)
    else:
        raise UserError(f"evaluate.benchmarks: no entry for data set {dataset!r}; it says what is scored there")
    if not made.labelled:
        raise UserError(f"{folder}: split {split!r} has no image with exactly one of {', '.join(made.classes)}")
    write_benchmark(made, output)
    return made


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
        shown = [name for name in settings.classes if name in shown_by(truth)]
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


def shown_by(truth: Truth) -> frozenset[str]:
    """The observations of a film, No Finding among them where it shows no more than devices."""
    normal = not truth.observations - {SUPPORT_DEVICES}
    return truth.observations | {NO_FINDING} if normal else truth.observations


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
        engine: what translated them, for `texts_from`.

    Raises:
        UserError: the data set has no labels of that source, or the file of prompts is not right.
    """
    images = read_table(folder / "images.parquet", IMAGES).filter(pl.col("split") == split)
    labels = read_labels(folder / "labels.parquet", settings.label_source)
    classes = settings.classes if len(settings.classes) > 1 else (settings.normal, *settings.classes)
    samples = []
    for row in images.sort("image_id").iter_rows(named=True):
        states = labels.get(("image", row["image_id"])) or labels.get(("study", row["study_id"])) or {}
        label = _class_of(states, settings) if row["image_id"].startswith(settings.only) else None
        samples.append(Sample(**_identity(row), label=label))
    texts: dict[str, dict[str, str]] = {}
    origins: dict[str, set[str]] = {}
    if settings.texts and corpus:
        written_in = dict(read_table(folder / "studies.parquet", STUDIES).select("study_id", "language").iter_rows())
        studies = {sample.study_id for sample in samples}
        rows = read_tables(list(corpus), CORPUS).filter(
            pl.col("study_id").is_in(studies), pl.col("language").is_in(languages)
        )
        for study, code, text in rows.select("study_id", "language", "text").iter_rows():
            texts.setdefault(code, {})[study] = text
            origins.setdefault(code, set()).add("native" if written_in[study] == code else f"mt:{engine}")
    return Benchmark(
        dataset=name,
        split=split,
        test_text=settings.prompts_text,
        classes=classes,
        samples=tuple(samples),
        prompts=_read_prompts(settings.prompts, classes, languages),
        texts=texts,
        texts_from={code: "+".join(sorted(found)) for code, found in origins.items()},
    )


def _identity(row: dict[str, str]) -> dict[str, str]:
    return {key: row[key] for key in ("image_id", "study_id", "patient_id")}


def read_labels(path: Path, source: str) -> dict[tuple[str, str], dict[str, State]]:
    """(study or image, id) -> state of each observation's column, of one source of labels.

    Raises:
        UserError: the table has no labels of that source.
    """
    labels = read_table(path, LABELS)
    of_source = labels.filter(pl.col("label_source") == source)
    if of_source.is_empty():
        found = ", ".join(sorted(labels["label_source"].unique())) or "none"
        raise UserError(f"{path}: label_source: no labels of {source!r}; it has {found}")
    return {(row["kind"], row["id"]): row for row in of_source.iter_rows(named=True)}


def _class_of(states: dict[str, State], settings: LabelledBenchmark) -> int | None:
    """The number of the one class that is present, or None: none, several, uncertain or no labels.

    Of a single observation, 1 where it is present and 0 where it is absent: stated so, or not mentioned while
    No Finding is present.
    """
    present = [i for i, name in enumerate(settings.classes) if states.get(column(name)) == PRESENT]
    if len(settings.classes) > 1:
        return present[0] if len(present) == 1 else None
    state = states.get(column(settings.classes[0]))
    absent = state == ABSENT or (state is None and states.get(column(NO_FINDING)) == PRESENT)
    return 1 if present else 0 if absent else None


def _read_prompts(file: Path, classes: tuple[str, ...], languages: tuple[str, ...]) -> Prompts:
    """Prompts of the configured languages; the file may hold more, which are checked too."""
    content = read_yaml(file)
    if not isinstance(content, dict) or not all(isinstance(by_class, dict) for by_class in content.values()):
        raise UserError(f"{file}: must map languages to classes to lists of sentences")
    out: Prompts = {}
    for code, by_class in content.items():
        language(str(code), where=str(file))
        for name in classes:
            sentences = by_class.get(name)
            if not sentences:
                raise UserError(f"{file}: {code}: no prompts for {name!r}; give at least one sentence")
            if not isinstance(sentences, list) or not all(isinstance(one, str) and one.strip() for one in sentences):
                raise UserError(f"{file}: {code}: {name}: must be a list of sentences, none of them empty")
        if code in languages:
            out[code] = {name: tuple(by_class[name]) for name in classes}
    if not out:
        raise UserError(f"{file}: none of the configured languages ({', '.join(languages)}) has prompts")
    return out
