"""The evaluation stage: one model, one task, one benchmark in; metrics.json and the predictions behind it out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmclip.config.evaluation import EvaluateSettings
from mmclip.data.packed import PackedImages
from mmclip.errors import BudgetExceeded, UserError
from mmclip.evaluation.encoder import load_encoder
from mmclip.evaluation.finite import FiniteEncoder, check_finite
from mmclip.evaluation.sentences_file import read_texts
from mmclip.evaluation.tasks import BLOCK, TASKS, WITHOUT_IMAGES, Run
from mmclip.metrics.bootstrap import Interval
from mmclip.tables.benchmark import Benchmark
from mmclip.tables.evaluation import PREDICTIONS, Metric, write_metrics
from mmclip.tables.files import atomic, write_table

_log = logging.getLogger("mmclip.evaluation")


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
    """Run one task and write its rows; what is undefined on this test (AUROC of one class alone) has none.

    Images that packing had to skip are left out, and the rows' hash is that of the samples that were scored. Images
    that are smaller than the model's input are enlarged, with a warning.

    Args:
        model: a folder of mmclip, or ``KIND:FOLDER``; see :func:`mmclip.evaluation.encoder.load_encoder`.
        benchmarks: split -> benchmark; the scored split is `settings.split`, and linear_probe and fine_tune need
            train and val as well.
        packs: folders of packed images.
        metrics, predictions: files to write.

    Returns:
        The rows.

    Raises:
        UserError: the task is unknown or needs a split that is not given, or an embedding is not finite.
        BudgetExceeded: too many images are in no pack.
    """
    if task not in TASKS:
        raise UserError(f"--task: {task!r} is not a task; known: {', '.join(TASKS)}")
    if settings.split not in benchmarks:
        raise UserError(f"--data: no benchmark of split {settings.split!r} given; found {', '.join(benchmarks)}")
    images = PackedImages(list(packs))
    if task not in WITHOUT_IMAGES:
        benchmarks = {split: packed(made, images, settings.error_budget) for split, made in benchmarks.items()}
    test = benchmarks[settings.split]
    encoder = FiniteEncoder(load_encoder(model), model, test)
    if task not in WITHOUT_IMAGES and test.samples:
        _warn_of_small(images, test, encoder.size)
    hashes = {
        "split_hash": test.split_hash,
        "prompt_hash": test.prompt_hash,
        "model_digest": encoder.digest,
        "config_digest": hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16],
    }

    def row(language: str, metric: str, interval: Interval, n: int, **more: object) -> Metric:
        bounds = np.isfinite([interval.low, interval.high]).all()
        return Metric.model_validate(
            {
                "experiment": experiment,
                "task": task,
                "dataset": test.dataset,
                "test_text": "" if language == "none" else test.test_text,
                "language": language,
                "split": test.split,
                "metric": metric,
                "value": interval.value,
                "low": interval.low if bounds else None,
                "high": interval.high if bounds else None,
                "interval": "patients" if bounds else "",
                "n": n,
                "seed": seed,
                **hashes,
                **more,
            }
        )

    run = Run(settings, encoder, model, test, benchmarks.get("train"), benchmarks.get("val"), images, row)
    measured, table = TASKS[task](run)
    rows = [row for row in measured if np.isfinite(row.value)]
    if not rows:
        _log.warning("%s: task %s has nothing to measure on %s", experiment, task, test.dataset)
    write_metrics(rows, metrics)
    if predictions is not None:
        write_table(table, predictions, PREDICTIONS)
    return rows


def _warn_of_small(images: PackedImages, made: Benchmark, size: int) -> None:
    """Say it where a model gets less detail than it could see; the images of one data set have one size."""
    edge = len(images.read([made.samples[0].image_id])[0])
    if edge < size:
        _log.warning(
            "%s: its images are packed at %d px and enlarged to the model's %d; pack at %d or more to compare models",
            made.dataset, edge, size, size,
        )  # fmt: skip


def packed(made: Benchmark, images: PackedImages, budget: float) -> Benchmark:
    """The benchmark without the images that are in no pack.

    Raises:
        BudgetExceeded: they are a larger share of all than `budget`.
    """
    kept = tuple(sample for sample in made.samples if sample.image_id in images)
    missing = len(made.samples) - len(kept)
    if missing > budget * len(made.samples):
        first = next(sample.image_id for sample in made.samples if sample.image_id not in images)
        raise BudgetExceeded(
            f"--packs: {missing} of {len(made.samples)} images of {made.dataset}'s {made.split} split are in no pack, "
            f"{first!r} first; give every pack, or see skipped.parquet beside its pixels"
        )
    if missing:
        _log.warning("%s: %d images of split %s are in no pack and left out", made.dataset, missing, made.split)
    return made.model_copy(update={"samples": kept})


def embed(model: str, output: Path, texts: Path | None = None, images: Path | None = None) -> int:
    """Write embeddings [n, D] as .npy, for the rows of a text table or the images of a pack; returns n.

    Args:
        texts: CSV, TSV or Parquet with a column ``text``, or one text a line.
        images: a folder of packed images; rows in the order of its index.

    Raises:
        UserError: not just one of `texts` and `images` is given, it cannot be read, it is empty, or an embedding is
            not finite.
    """
    if texts is not None and images is None:
        sentences = read_texts(texts)
        _check_any(texts, len(sentences))
        vectors, names = load_encoder(model).texts(sentences), [f"row {i + 1}" for i in range(len(sentences))]
    elif images is not None and texts is None:
        pack = PackedImages([images])
        ids = pack.ids()
        _check_any(images, len(ids))
        encoder = load_encoder(model)
        blocks = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]
        vectors = np.concatenate([encoder.images(np.stack(pack.read(block))) for block in blocks])
        names = [f"image {name!r}" for name in ids]
    else:
        raise UserError("embed: give either --texts FILE or --images PACK")
    check_finite(vectors, names, model)
    with atomic(output) as temporary, temporary.open("wb") as file:
        np.save(file, vectors, allow_pickle=False)
    return len(vectors)


def _check_any(path: Path, count: int) -> None:
    if not count:
        raise UserError(f"{path}: holds nothing to embed; give at least one row")
