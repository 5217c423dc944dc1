"""Benchmarks from ingested data: who is in the test, in which class, and what the text tower is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

import mmclip
from mmclip.config.evaluation import EvaluateSettings, HeldOutBenchmark, LabelledBenchmark, PhantomBenchmark
from mmclip.errors import UserError
from mmclip.evaluation.prompts_file import read_prompts
from mmclip.observations import ABSENT, NO_FINDING, OBSERVATIONS, PRESENT, SUPPORT_DEVICES, State, column
from mmclip.phantom import phrasebook, reports
from mmclip.phantom.truth import FINDINGS, Finding, Truth
from mmclip.tables.benchmark import Benchmark, Sample, write_benchmark
from mmclip.tables.files import read_table, read_tables
from mmclip.tables.filtering import CORPUS
from mmclip.tables.ingest import HELD_OUT, IMAGES, STUDIES
from mmclip.tables.labeling import LABELS
from mmclip.tables.phantom import TRUTH

UNKNOWN = "unknown"
"""Engine of texts in a language for which none is named."""

Labels = dict[tuple[str, str], dict[str, State]]


def make_benchmark(
    settings: EvaluateSettings,
    dataset: str,
    folder: Path,
    split: str,
    languages: tuple[str, ...],
    corpus: list[Path],
    engines: Mapping[str, str],
    output: Path,
) -> Benchmark:
    """Write the benchmark of an ingested data set's split.

    Args:
        engines: language -> what translated the corpus.

    Raises:
        UserError: the settings name no benchmark for the data set, or the split has no sample with a class.
    """
    chosen = settings.benchmarks.get(dataset)
    if isinstance(chosen, PhantomBenchmark):
        made = phantom_benchmark(chosen, dataset, folder, split, languages)
    elif isinstance(chosen, LabelledBenchmark):
        made = labelled_benchmark(chosen, dataset, folder, split, languages, corpus, engines)
    elif isinstance(chosen, HeldOutBenchmark):
        made = held_out_benchmark(chosen, dataset, folder, split, languages, corpus, engines)
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
    engines: Mapping[str, str],
) -> Benchmark:
    """The benchmark of a data set with labels: prompts from a file, texts from its own reports and their translations.

    Args:
        folder: the data set as ingested.
        corpus: corpus shards to take translated reports from.
        engines: language -> what translated them, for `texts_from`.

    Raises:
        UserError: the data set has no labels of that source, or the file of prompts is not right.
    """
    images = read_table(folder / "images.parquet", IMAGES).filter(pl.col("split") == split)
    labels = read_labels(folder / "labels.parquet", settings.label_source)
    classes = settings.classes if len(settings.classes) > 1 else (settings.normal, *settings.classes)
    samples = []
    for row in images.sort("image_id").iter_rows(named=True):
        label = _class_of(_states(labels, row), settings) if row["image_id"].startswith(settings.only) else None
        samples.append(Sample(**_identity(row), label=label))
    return _of_files(settings, name, folder, split, classes, samples, languages, corpus, engines)


def held_out_benchmark(
    settings: HeldOutBenchmark,
    name: str,
    folder: Path,
    split: str,
    languages: tuple[str, ...],
    corpus: list[Path],
    engines: Mapping[str, str],
) -> Benchmark:
    """The benchmark of the images that ingestion held out under a name, each in the class it was drawn for.

    Where `label_source` is given and has labels of an image or its study, these decide instead: one class present, or
    else the image has no class.

    Args:
        folder, corpus, engines: as for :func:`labelled_benchmark`.

    Raises:
        UserError: no benchmark of the name was held out, its images are in another split, or `label_source` cannot
            decide between its classes.
    """
    path = folder / "held_out.parquet"
    if not path.exists():
        raise UserError(f"{path}: no such file; give datasets.{name}.hold_out, so that ingestion draws the benchmark")
    every = read_table(path, HELD_OUT)
    drawn = every.filter(pl.col("benchmark") == settings.held_out)
    if drawn.is_empty():
        found = ", ".join(sorted(every["benchmark"].unique())) or "none"
        raise UserError(f"{path}: held_out: no benchmark {settings.held_out!r}; there are {found}")
    here = read_table(folder / "images.parquet", IMAGES).filter(pl.col("split") == split).select("image_id")
    samples_drawn = drawn.join(here, on="image_id", how="semi").sort("image_id")
    if samples_drawn.is_empty():
        raise UserError(f"{path}: benchmark {settings.held_out!r} has no image of split {split!r}; its split is test")
    classes = tuple(sorted(drawn["observation"].unique(), key=_place))
    gold: Labels = {}
    if settings.label_source is not None:
        gold = read_labels(folder / "labels.parquet", settings.label_source)
        foreign = [one for one in classes if one not in OBSERVATIONS]
        if foreign:
            raise UserError(f"{path}: label_source: {foreign[0]!r} is no observation, so labels cannot decide on it")
    samples = []
    for row in samples_drawn.iter_rows(named=True):
        states = _states(gold, row)
        present = [one for one in classes if states.get(column(one)) == PRESENT] if states else [row["observation"]]
        label = classes.index(present[0]) if len(present) == 1 else None
        samples.append(Sample(**_identity(row), label=label))
    return _of_files(settings, name, folder, split, classes, samples, languages, corpus, engines)


def _place(name: str) -> tuple[int, str]:
    """Observations in their order, then other classes by name."""
    return (OBSERVATIONS.index(name) if name in OBSERVATIONS else len(OBSERVATIONS), name)


def _of_files(
    settings: LabelledBenchmark | HeldOutBenchmark,
    name: str,
    folder: Path,
    split: str,
    classes: tuple[str, ...],
    samples: list[Sample],
    languages: tuple[str, ...],
    corpus: list[Path],
    engines: Mapping[str, str],
) -> Benchmark:
    """The samples with prompts from a file, and with their studies' own reports and translations of these.

    A relative path of prompts is one below the checkout, wherever the run has its results.
    """
    prompts = Path(mmclip.__file__).parents[1] / settings.prompts
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
            origins.setdefault(code, set()).add(
                "native" if written_in[study] == code else f"mt:{engines.get(code, UNKNOWN)}"
            )
    return Benchmark(
        dataset=name,
        split=split,
        test_text=settings.prompts_text,
        classes=classes,
        samples=tuple(samples),
        prompts=read_prompts(prompts, classes, languages),
        texts=texts,
        texts_from={code: "+".join(sorted(found)) for code, found in origins.items()},
    )


def _identity(row: dict[str, str]) -> dict[str, str]:
    return {key: row[key] for key in ("image_id", "study_id", "patient_id")}


def read_labels(path: Path, source: str) -> Labels:
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


def _states(labels: Labels, row: dict[str, str]) -> dict[str, State]:
    """An image's own labels, or else its study's; empty if there are none."""
    return labels.get(("image", row["image_id"])) or labels.get(("study", row["study_id"])) or {}


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
