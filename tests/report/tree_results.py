"""What models leave in a run's folder: metrics, predictions, training curves."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from mmclip.tables.benchmark import Benchmark
from mmclip.tables.evaluation import PREDICTIONS, Metric, write_metrics
from mmclip.tables.files import write_json, write_table


def metric(benchmark: Benchmark, experiment: str, **values: object) -> Metric:
    """A row with what the values leave out."""
    shared = {
        "experiment": experiment,
        "dataset": benchmark.dataset,
        "test_text": benchmark.test_text,
        "split": "test",
        "n": len(benchmark.samples),
        "seed": 0,
        "split_hash": "5" * 16,
        "prompt_hash": "6" * 16,
        "model_digest": "7" * 16,
        "config_digest": "8" * 16,
        "interval": "patients" if "low" in values else "",
    }
    return Metric.model_validate({**shared, **values})


def write_evaluation(root: Path, benchmark: Benchmark, experiment: str, level: float) -> None:
    """Zero-shot and retrieval results around `level`, English best; and predictions that are right that often."""
    rng = np.random.default_rng(len(experiment))
    folder = root / "evaluate" / experiment
    languages = list(benchmark.prompts)
    values = {code: level + (0.06 if code == "eng_Latn" else rng.uniform(-0.09, 0.04)) for code in languages}
    values |= {"mean": float(np.mean(list(values.values()))), "worst": min(values.values())}
    rows = [
        metric(
            benchmark,
            experiment,
            task="zero_shot",
            language=code,
            metric=name,
            value=value + lift,
            low=value + lift - 0.05,
            high=value + lift + 0.05,
        )
        for code, value in values.items()
        for name, lift in (("accuracy", 0.0), ("balanced_accuracy", -0.01), ("auroc", 0.2))
    ]
    for name, value in (("constant_accuracy", 0.24), ("chance_accuracy", 0.2)):
        rows.append(metric(benchmark, experiment, task="zero_shot", language="none", metric=name, value=value))
    write_metrics(rows, folder / "zero_shot" / benchmark.dataset / "metrics.json")
    asked = [
        ("text_to_image", "precision_at_k", 5, 0.9),
        ("image_to_text", "precision_at_k", 1, 1.0),
        ("image_to_text", "recall_at_k", 10, 0.4),
        ("text_to_image", "recall_at_k", 10, 0.35),
    ]
    found = [
        metric(
            benchmark,
            experiment,
            task="retrieval",
            language=code,
            direction=direction,
            metric=name,
            k=k,
            value=value * share,
        )
        for direction, name, k, share in asked
        for code, value in values.items()
        if code != "worst"
    ]
    write_metrics(found, folder / "retrieval" / benchmark.dataset / "metrics.json")
    words = [
        metric(benchmark, experiment, task="text", language=code, metric=name, k=k, direction=direction, value=value)
        for code in [*languages, "mean"]
        for name, k, direction, value in (
            ("recall_at_k", 1, "english_to", 0.8),
            ("negation_similarity", None, "", 0.4),
        )
        if k is None or code != "eng_Latn"
    ]
    write_metrics(words, folder / "text" / benchmark.dataset / "metrics.json")
    _write_predictions(folder / "zero_shot" / benchmark.dataset / "predictions.parquet", benchmark, values, rng)


def _write_predictions(path: Path, benchmark: Benchmark, values: dict[str, float], rng: np.random.Generator) -> None:
    rows: list[dict[str, object]] = []
    for code in benchmark.prompts:
        for sample in benchmark.labelled:
            scores = rng.normal(0, 1, len(benchmark.classes))
            scores[sample.label or 0] += 4 * (values[code] - 0.2)
            rows.append(
                {
                    "id": sample.image_id,
                    "patient_id": sample.patient_id,
                    "language": code,
                    "truth": benchmark.classes[sample.label or 0],
                    "predicted": benchmark.classes[int(scores.argmax())],
                    "scores": scores.tolist(),
                }
            )
    write_table(PREDICTIONS.frame(rows), path, PREDICTIONS)


def write_tuned(root: Path, benchmark: Benchmark, experiment: str, value: float) -> None:
    """A fine-tuned image tower."""
    row = metric(
        benchmark,
        experiment,
        task="fine_tune",
        language="none",
        metric="accuracy",
        k=100,
        value=value,
        low=value - 0.04,
        high=value + 0.04,
    )
    write_metrics([row], root / "evaluate" / experiment / "fine_tune" / benchmark.dataset / "metrics.json")


def write_training(root: Path, experiment: str, floor: float) -> None:
    """A curve that falls towards its floor, and the summary."""
    rng = np.random.default_rng(1)
    folder = root / "pretrain" / experiment
    rows: list[dict[str, float]] = []
    for step in range(20, 801, 20):
        loss = floor + 0.4 + 2.2 * math.exp(-step / 180) + float(rng.normal(0, 0.03))
        rows.append(
            {"step": step, "loss": loss, "x_loss": loss, "x/contrastive": loss, "x/floor": floor, "learning_rate": 1e-4}
        )
        if step % 200 == 0:
            rows.append({"step": step, "val/x_loss": loss + 0.12, "val/x/contrastive": loss + 0.12})
    write_json(rows, folder / "training_curve.json")
    summary = {
        "images": 2800,
        "texts": 51234,
        "languages": ["eng_Latn"],
        "sampling": "decoupled",
        "steps": 800,
        "batch_size": 100,
        "parameters": 4_812_345,
        "pixels": {
            "datasets": [path.name for path in sorted((root / "ingest").iterdir())],
            "size": 32,
            "seed": 3,
            "views": ["PA"],
            "augmentation": {"name": "chest", "flip": True},
        },
    }
    write_json(summary, folder / "summary.json")


def write_text_model(root: Path, languages: tuple[str, ...]) -> None:
    """A text encoder that has learned to predict hidden tokens."""
    before = {code: {"mlm_accuracy": 0.02, "mlm_loss": 8.0, "mlm_tokens": 900} for code in languages}
    after = {
        code: {"mlm_accuracy": 0.71, "tlm_accuracy": 0.8, "mlm_loss": 1.1, "mlm_tokens": 900} for code in languages
    }
    write_json({"split": "val", "before": before, "after": after}, root / "pretrain_text" / "text" / "metrics.json")


def write_timing(root: Path) -> None:
    """Snakemake's benchmark files of two rules."""
    folder = root / "benchmarks"
    (folder / "pretrain").mkdir(parents=True, exist_ok=True)
    for name, seconds in (("pretrain/three_m_clip", 212.5), ("pretrain/clip", 180.1), ("label", 3.25)):
        line = f"s\th:m:s\tmax_rss\n{seconds}\t0:00:00\t512.5\n"
        (folder / f"{name}.tsv").write_text(line, encoding="utf-8")
