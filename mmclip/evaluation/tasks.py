"""The tasks: each takes a run (a model, benchmarks, images) and gives metrics and the predictions behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmclip.config.evaluation import EvaluateSettings
from mmclip.data.packed import PackedImages
from mmclip.errors import UserError
from mmclip.evaluation import audit, linear_probe, retrieval, text, zero_shot
from mmclip.evaluation.encoder import DualEncoderModel, Encoder
from mmclip.languages import ENGLISH
from mmclip.metrics.bootstrap import Interval, bootstrap, mean_intervals
from mmclip.metrics.classification import accuracy, balanced_accuracy, macro_auroc, macro_f1
from mmclip.tables.benchmark import Benchmark, Sample
from mmclip.tables.evaluation import PREDICTIONS, Metric


@dataclass(frozen=True)
class Run:
    """What every task gets: the model, the benchmarks of the splits, the images, and how rows are signed."""

    settings: EvaluateSettings
    encoder: Encoder
    model: str
    test: Benchmark
    train: Benchmark | None
    val: Benchmark | None
    images: PackedImages
    row: Callable[..., Metric]

    def pixels(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """[n, S, S] grey images of the samples."""
        return np.stack(self.images.read([sample.image_id for sample in samples]))


Result = tuple[list[Metric], pl.DataFrame]


def _zero_shot(run: Run) -> Result:
    samples = run.test.labelled
    truth, patients = _labels(samples), [sample.patient_id for sample in samples]
    by_language = zero_shot.scores(
        run.encoder.images(run.pixels(samples)), run.encoder, run.test.prompts, run.test.classes
    )
    measured = zero_shot.measure(by_language, truth, patients, run.settings.resamples, run.settings.level)
    rows = [run.row(language, metric, interval, len(samples)) for language, metric, interval in measured]
    constant = Interval(zero_shot.constant_predictor(truth), np.nan, np.nan)
    rows.append(run.row("none", "constant_accuracy", constant, len(samples)))
    rows.append(run.row("none", "chance_accuracy", Interval(1 / len(run.test.classes), np.nan, np.nan), len(samples)))
    frames = [_predictions(samples, run.test.classes, scores, code) for code, scores in by_language.items()]
    return rows, pl.concat(frames)


def _retrieval(run: Run) -> Result:
    labelled, everything = run.test.labelled, list(run.test.samples)
    features = dict(zip((s.image_id for s in everything), run.encoder.images(run.pixels(everything)), strict=True))
    settings, rows = run.settings, []
    for code, prompts in run.test.prompts.items():
        found = retrieval.class_precision(
            np.stack([features[s.image_id] for s in labelled]),
            run.encoder,
            prompts,
            run.test.classes,
            _labels(labelled),
            [s.patient_id for s in labelled],
            settings.precision_at,
            settings.resamples,
            settings.level,
        )
        rows += [run.row(code, m, i, len(labelled), direction=d, k=k) for d, m, k, i in found]
    for code, texts in run.test.texts.items():
        found = retrieval.instance_recall(
            np.stack(list(features.values())),
            [s.study_id for s in everything],
            [s.patient_id for s in everything],
            run.encoder,
            texts,
            settings.recall_at,
            settings.resamples,
            settings.level,
        )
        n = sum(sample.study_id in texts for sample in everything)
        rows += [run.row(code, m, i, n, direction=d, k=k) for d, m, k, i in found]
    return [*rows, *_means(rows)], PREDICTIONS.empty()


def _means(rows: Sequence[Metric]) -> list[Metric]:
    """Mean over the languages of each metric, where every language scored as many samples."""
    groups: dict[tuple[str, str, int | None], list[Metric]] = {}
    for row in rows:
        groups.setdefault((row.direction, row.metric, row.k), []).append(row)
    out = []
    for group in groups.values():
        if len(group) > 1 and len({row.n for row in group}) == 1:
            mean = float(np.mean([row.value for row in group]))
            blank = {"language": "mean", "value": mean, "low": None, "high": None, "interval": ""}
            out.append(group[0].model_copy(update=blank))
    return out


def _linear_probe(run: Run) -> Result:
    train, val = _needed(run)
    features = {split: run.encoder.images(run.pixels(b.labelled)) for split, b in (("train", train), ("val", val))}
    samples = run.test.labelled
    tested = run.encoder.images(run.pixels(samples))
    rows, frames = [], []
    for fraction in run.settings.probe_fractions:
        scores = linear_probe.linear_probe(
            (features["train"], _labels(train.labelled)),
            (features["val"], _labels(val.labelled)),
            tested,
            fraction,
            run.settings.seed,
        )
        k = round(100 * fraction)
        rows += _supervised(run, scores, k)
        frames.append(_predictions(samples, run.test.classes, scores, f"{k} %"))
    return rows, pl.concat(frames)


def _fine_tune(run: Run) -> Result:
    from mmclip.evaluation.fine_tune import fine_tune

    train, val = _needed(run)
    if not isinstance(run.encoder, DualEncoderModel):
        raise UserError(f"{run.model}: fine_tune works on models of mmclip; give a folder that `mmclip pretrain` wrote")
    scores = fine_tune(
        run.encoder.model,
        (run.pixels(train.labelled), _labels(train.labelled)),
        (run.pixels(val.labelled), _labels(val.labelled)),
        run.pixels(run.test.labelled),
        len(run.test.classes),
        run.settings.tune_epochs,
        run.settings.tune_rate,
        run.settings.batch_size,
        run.settings.seed,
    )
    return _supervised(run, scores, 100), _predictions(run.test.labelled, run.test.classes, scores, "100 %")


def _supervised(run: Run, scores: NDArray[np.float32], percent: int) -> list[Metric]:
    """Rows of a classifier that was trained on `percent` of the training images (`k` holds it)."""
    samples = run.test.labelled
    truth = _labels(samples)
    names = ("accuracy", "balanced_accuracy", "f1", "auroc")

    def values(draw: NDArray[np.int64]) -> NDArray[np.float64]:
        t, s = truth[draw], scores[draw].astype(np.float64)
        p = s.argmax(1)
        return np.array([accuracy(t, p), balanced_accuracy(t, p), macro_f1(t, p), macro_auroc(t, s)])

    patients = [sample.patient_id for sample in samples]
    intervals = bootstrap(values, patients, min(run.settings.resamples, 300), run.settings.level)
    return [run.row("none", name, one, len(samples), k=percent) for name, one in zip(names, intervals, strict=True)]


def _text(run: Run) -> Result:
    english = run.test.parallel.get(ENGLISH, ())
    rows = []
    for code, sentences in run.test.parallel.items():
        if code != ENGLISH and english:
            recall = text.parallel_recall(run.encoder, english, sentences)
            rows.append(
                run.row(
                    code, "recall_at_k", Interval(recall, np.nan, np.nan), len(english), k=1, direction="english_to"
                )
            )
    for code, pairs in run.test.negations.items():
        similarity = text.negation_similarity(run.encoder, pairs)
        rows.append(run.row(code, "negation_similarity", Interval(similarity, np.nan, np.nan), len(pairs)))
    return [*rows, *_means(rows)], PREDICTIONS.empty()


def _audit(run: Run) -> Result:
    samples = run.test.labelled
    images = run.encoder.images(run.pixels(samples))
    truth = _labels(samples)
    rows = []
    for code, by_class in run.test.prompts.items():
        pairs = [
            pair for name in run.test.classes for pair in run.test.negations.get(code, ()) if pair[0] in by_class[name]
        ]
        owner = [i for i, name in enumerate(run.test.classes) for pair in pairs if pair[0] in by_class[name]]
        if not pairs:
            continue
        right = audit.negation_preference(images, run.encoder, pairs, truth[:, None] == np.array(owner))
        (interval,) = mean_intervals(
            right.mean(1)[None], [s.patient_id for s in samples], run.settings.resamples, run.settings.level
        )
        rows.append(run.row(code, "negation_accuracy", interval, len(samples)))
    return [*rows, *_means(rows)], PREDICTIONS.empty()


def _needed(run: Run) -> tuple[Benchmark, Benchmark]:
    if run.train is None or run.val is None:
        raise UserError(
            "linear_probe and fine_tune need benchmarks of the train and val splits too; give --data thrice"
        )
    return run.train, run.val


def _labels(samples: Sequence[Sample]) -> NDArray[np.int64]:
    return np.array([sample.label for sample in samples], dtype=np.int64)


def _predictions(
    samples: Sequence[Sample], classes: Sequence[str], scores: NDArray[np.float32], language: str
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [s.image_id for s in samples],
            "patient_id": [s.patient_id for s in samples],
            "language": [language] * len(samples),
            "truth": [classes[s.label] for s in samples if s.label is not None],
            "predicted": [classes[i] for i in scores.argmax(1)],
            "scores": scores.tolist(),
        },
        schema=PREDICTIONS.columns,
    )


TASKS: dict[str, Callable[[Run], Result]] = {
    "zero_shot": _zero_shot,
    "retrieval": _retrieval,
    "linear_probe": _linear_probe,
    "fine_tune": _fine_tune,
    "text": _text,
    "audit": _audit,
}
