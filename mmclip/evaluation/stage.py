"""The evaluation stage: one model, one task, one benchmark in; metrics.json and the predictions behind it out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmclip.config.evaluation import EvaluateSettings, LabelledBenchmark, PhantomBenchmark
from mmclip.data.packed import PackedImages
from mmclip.errors import UserError
from mmclip.evaluation import benchmark
from mmclip.evaluation.encoder import load_encoder
from mmclip.evaluation.sentences_file import read_texts
from mmclip.evaluation.tasks import TASKS, Run
from mmclip.metrics.bootstrap import Interval
from mmclip.tables.benchmark import Benchmark, write_benchmark
from mmclip.tables.evaluation import PREDICTIONS, Metric, write_metrics
from mmclip.tables.files import atomic, write_table


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
        made = benchmark.phantom_benchmark(chosen, dataset, folder, split, languages)
    elif isinstance(chosen, LabelledBenchmark):
        made = benchmark.labelled_benchmark(chosen, dataset, folder, split, languages, corpus, engine)
    else:
        raise UserError(f"evaluate.benchmarks: no entry for data set {dataset!r}; it says what is scored there")
    if not made.labelled:
        raise UserError(f"{folder}: split {split!r} has no image with exactly one of {', '.join(made.classes)}")
    write_benchmark(made, output)
    return made


def evaluate(
    settings: EvaluateSettings,
    model: str,
    task: str,
    benchmarks: dict[str, Benchmark],
    packs: Sequence[Path],
    metrics: Path,
    predictions: Path | None,
    experiment: str,
    seed: int,
) -> list[Metric]:
    """Run one task and write its rows.

    Args:
        model: a folder, ``open_clip:FOLDER`` or ``hf:FOLDER``.
        benchmarks: split -> benchmark; the scored split is `settings.split`, and linear_probe and fine_tune need
            train and val as well.
        packs: folders of packed images.
        metrics, predictions: files to write.

    Raises:
        UserError: the task is unknown, or needs a split that is not given.
    """
    if task not in TASKS:
        raise UserError(f"--task: {task!r} is not a task; known: {', '.join(TASKS)}")
    if settings.split not in benchmarks:
        raise UserError(f"--data: no benchmark of split {settings.split!r} given; found {', '.join(benchmarks)}")
    encoder = load_encoder(model)
    test = benchmarks[settings.split]
    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]

    def row(language: str, metric: str, interval: Interval, n: int, **more: object) -> Metric:
        bounds = np.isfinite([interval.low, interval.high]).all()
        return Metric.model_validate(
            {
                "experiment": experiment,
                "task": task,
                "dataset": test.dataset,
                "test_text": test.test_text,
                "language": language,
                "split": test.split,
                "metric": metric,
                "value": interval.value,
                "low": interval.low if bounds else None,
                "high": interval.high if bounds else None,
                "interval": "patients" if bounds else "",
                "n": n,
                "seed": seed,
                "split_hash": test.split_hash,
                "prompt_hash": test.prompt_hash,
                "model_digest": encoder.digest,
                "config_digest": digest,
                **more,
            }
        )

    images = PackedImages(list(packs))
    run = Run(settings, encoder, model, test, benchmarks.get("train"), benchmarks.get("val"), images, row)
    rows, table = TASKS[task](run)
    write_metrics(rows, metrics)
    if predictions is not None:
        write_table(table, predictions, PREDICTIONS)
    return rows


def embed(model: str, output: Path, texts: Path | None = None, images: Path | None = None) -> int:
    """Write embeddings [n, D] as .npy, for the rows of a text table or the images of a pack; returns n.

    Args:
        texts: CSV, TSV or Parquet with a column ``text``, or one text a line.
        images: a folder of packed images; rows in the order of its index.
    """
    if (texts is None) == (images is None):
        raise UserError("embed: give either --texts FILE or --images PACK")
    encoder = load_encoder(model)
    if texts is not None:
        vectors = encoder.texts(read_texts(texts))
    else:
        pack = PackedImages([Path(str(images))])
        vectors = encoder.images(np.stack(pack.read(pack.ids())))
    with atomic(output) as temporary, temporary.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
    return len(vectors)
