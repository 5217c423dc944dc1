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
from mmclip.evaluation.encoder import DualEncoderModel, Embeddings
from mmclip.evaluation.finite import FiniteEncoder, check_finite
from mmclip.languages import ENGLISH
from mmclip.metrics.bootstrap import Draw, Interval, bootstrap
from mmclip.metrics.classification import accuracy, balanced_accuracy, macro_auroc, macro_f1
from mmclip.tables.benchmark import Benchmark, Sample
from mmclip.tables.evaluation import PREDICTIONS, Metric


@dataclass(frozen=True)
class Run:
    """What every task gets: the model, the benchmarks of the splits, the images, and how rows are signed."""

    settings: EvaluateSettings
    encoder: FiniteEncoder
    model: str
    test: Benchmark
    train: Benchmark | None
    val: Benchmark | None
    images: PackedImages
    row: Callable[..., Metric]

    @property
    def scored(self) -> list[Sample]:
        """The test samples that have a class.

        Raises:
            UserError: there are none, or no prompts for the classes.
        """
        if not (self.test.labelled and self.test.prompts):
            raise UserError(f"{self.test.dataset}: split {self.test.split} has no sample with a class, or no prompts")
        return self.test.labelled

    def pixels(self, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """[n, S, S] grey images of the samples."""
        return np.stack(self.images.read([sample.image_id for sample in samples]))

    def features(self, samples: Sequence[Sample]) -> Embeddings:
        """[n, D] embeddings of the samples' images, read block by block.

        Raises:
            UserError: one is not finite.
        """
        blocks = [samples[start : start + BLOCK] for start in range(0, len(samples), BLOCK)]
        vectors = np.concatenate([self.encoder.images(self.pixels(block)) for block in blocks])
        return check_finite(vectors, [f"image {sample.image_id!r}" for sample in samples], self.model)


Result = tuple[list[Metric], pl.DataFrame]

BLOCK = 1024
"""Images that are in memory at once."""


def _zero_shot(run: Run) -> Result:
    samples = run.scored
    truth, patients = _labels(samples), [sample.patient_id for sample in samples]
    by_language = zero_shot.scores(run.features(samples), run.encoder, run.test.prompts, run.test.classes)
    settings, scale = run.settings, run.encoder.logit_scale
    measured = zero_shot.measure(by_language, scale, truth, patients, settings.resamples)
    rows = [run.row(language, metric, interval, len(samples)) for language, metric, interval in measured]
    constant = Interval(zero_shot.constant_predictor(truth), np.nan, np.nan)
    rows.append(run.row("none", "constant_accuracy", constant, len(samples)))
    rows.append(run.row("none", "chance_accuracy", Interval(1 / len(run.test.classes), np.nan, np.nan), len(samples)))
    frames = [_predictions(samples, run.test.classes, scores, code) for code, scores in by_language.items()]
    return rows, pl.concat(frames)


def _retrieval(run: Run) -> Result:
    labelled, everything = run.test.labelled, list(run.test.samples)
    features = dict(zip((s.image_id for s in everything), run.features(everything), strict=True))
    settings, rows = run.settings, []
    for code, prompts in run.test.prompts.items() if labelled else ():
        found = retrieval.class_precision(
            np.stack([features[s.image_id] for s in labelled]),
            run.encoder,
            prompts,
            run.test.classes,
            _labels(labelled),
            [s.patient_id for s in labelled],
            settings.precision_at,
            settings.resamples,
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
        )
        n = sum(sample.study_id in texts for sample in everything)
        wording = run.test.texts_from.get(code, run.test.test_text)
        rows += [run.row(code, m, i, n, direction=d, k=k, test_text=wording) for d, m, k, i in found]
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
            wording = "+".join(sorted({one for row in group for one in row.test_text.split("+")}))
            blank = {"language": "mean", "value": mean, "low": None, "high": None, "interval": ""}
            out.append(group[0].model_copy(update={**blank, "test_text": wording}))
    return out


def _linear_probe(run: Run) -> Result:
    train, val = _needed(run)
    trained, chosen = ((run.features(split.labelled), _labels(split.labelled)) for split in (train, val))
    samples, classes = run.scored, run.test.classes
    tested = run.features(samples)
    rows, frames = [], []
    for fraction in run.settings.probe_fractions:
        scores = linear_probe.linear_probe(trained, chosen, tested, len(classes), fraction, run.settings.seed)
        percent = round(100 * fraction)
        rows += _supervised(run, scores, percent)
        frames.append(_predictions(samples, classes, scores, f"{percent} %"))
    return rows, pl.concat(frames)


def _fine_tune(run: Run) -> Result:
    from mmclip.evaluation.fine_tune import Split, fine_tune

    train, val = _needed(run)
    own = run.encoder.encoder
    if not isinstance(own, DualEncoderModel):
        raise UserError(f"{run.model}: fine_tune works on models of mmclip; give a folder that `mmclip pretrain` wrote")

    def split(samples: Sequence[Sample]) -> Split:
        return Split(lambda rows: run.pixels([samples[row] for row in rows]), _labels(samples))

    settings, samples = run.settings, run.scored
    scores = fine_tune(
        own.model,
        split(train.labelled),
        split(val.labelled),
        split(samples),
        len(run.test.classes),
        settings.tune_epochs,
        settings.tune_rate,
        settings.batch_size,
        settings.seed,
    )
    if not np.isfinite(scores).all():
        raise UserError(f"evaluate.tune_rate: fine-tuning of {run.model} diverged at {settings.tune_rate}; lower it")
    return _supervised(run, scores, 100), _predictions(samples, run.test.classes, scores, "100 %")


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
    intervals = bootstrap(values, patients, min(run.settings.resamples, 300))
    return [run.row("none", name, one, len(samples), k=percent) for name, one in zip(names, intervals, strict=True)]


def _text(run: Run) -> Result:
    rows = []
    vectors = {code: run.encoder.texts(sentences) for code, sentences in run.test.parallel.items() if sentences}
    for code, other in vectors.items():
        if code != ENGLISH and ENGLISH in vectors:
            recall = Interval(text.parallel_recall(vectors[ENGLISH], other), np.nan, np.nan)
            rows.append(run.row(code, "recall_at_k", recall, len(other), k=1, direction="english_to"))
    for code, pairs in run.test.negations.items():
        if pairs:
            similarity = Interval(text.negation_similarity(run.encoder, pairs), np.nan, np.nan)
            rows.append(run.row(code, "negation_similarity", similarity, len(pairs)))
    return [*rows, *_means(rows)], PREDICTIONS.empty()


def _audit(run: Run) -> Result:
    samples, settings = run.scored, run.settings
    images, truth, patients = run.features(samples), _labels(samples), [sample.patient_id for sample in samples]
    rows = []
    for code, by_class in run.test.prompts.items():
        owned = [
            (number, pair)
            for number, name in enumerate(run.test.classes)
            for pair in run.test.negations.get(code, ())
            if pair[0] in by_class[name]
        ]
        if owned:
            says = audit.prefers_statement(images, run.encoder, [pair for _, pair in owned])
            shows = truth[:, None] == np.array([number for number, _ in owned])

            def accuracy_of(
                draw: Draw, says: NDArray[np.bool_] = says, shows: NDArray[np.bool_] = shows
            ) -> NDArray[np.float64]:
                return np.array([audit.negation_accuracy(says[draw], shows[draw])])

            (interval,) = bootstrap(accuracy_of, patients, settings.resamples)
            rows.append(run.row(code, "negation_accuracy", interval, len(samples)))
    return [*rows, *_means(rows)], PREDICTIONS.empty()


def _needed(run: Run) -> tuple[Benchmark, Benchmark]:
    """The benchmarks of the train and val splits, which must fit the test's: same classes, and no patient in two.

    Raises:
        UserError: one is missing or does not fit.
    """
    if run.train is None or run.val is None:
        raise UserError(
            "linear_probe and fine_tune need benchmarks of the train and val splits too; give --data thrice"
        )
    for split in (run.train, run.val):
        if split.classes != run.test.classes:
            raise UserError(f"--data: {split.split} has other classes than {run.test.split}; make both alike")
    for one, other in ((run.train, run.test), (run.val, run.test), (run.train, run.val)):
        shared = sorted(_patients(one) & _patients(other))
        if shared and one is not other:
            raise UserError(
                f"--data: patient {shared[0]!r} is in {one.split} and in {other.split}; split the patients anew"
            )
    return run.train, run.val


def _patients(made: Benchmark) -> set[str]:
    return {sample.patient_id for sample in made.samples}


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

WITHOUT_IMAGES = frozenset({"text"})
"""Tasks that need no packs."""
