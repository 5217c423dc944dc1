"""What a study measures of a run: the figures of its row, and the evidence that intervals are drawn from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from study_runs import Run, Study
from transformers import AutoModel

from mmclip.config.models import TextTower
from mmclip.data.packed import PackedImages
from mmclip.evaluation.encoder import Encoder, load_encoder
from mmclip.evaluation.retrieval import instance_ranks
from mmclip.languages import ENGLISH
from mmclip.metrics.retrieval import recall_at_k
from mmclip.models.text_encoder import load_pretrained
from mmclip.models.tokenizer import load_tokenizer
from mmclip.observations import COLUMNS, OBSERVATIONS, UNCERTAIN, column
from mmclip.phantom.truth import FINDINGS
from mmclip.tables.benchmark import Benchmark, read_benchmark
from mmclip.tables.evaluation import PREDICTIONS
from mmclip.tables.files import read_table, read_tables, write_json
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, TARGETS
from mmclip.training.text_alignment import Floats, nearest_is_translation, sentence_features

Row = dict[str, Any]

FIGURES: dict[str, tuple[str, Row]] = {
    "zero_shot_english": ("zero_shot", {"metric": "accuracy", "language": ENGLISH}),
    "zero_shot_mean": ("zero_shot", {"metric": "accuracy", "language": "mean"}),
    "zero_shot_worst": ("zero_shot", {"metric": "accuracy", "language": "worst"}),
    "precision_at_5": (
        "retrieval",
        {"metric": "precision_at_k", "k": 5, "direction": "text_to_image", "language": "mean"},
    ),
    "recall_at_10": (
        "retrieval",
        {"metric": "recall_at_k", "k": 10, "direction": "image_to_text", "language": "mean"},
    ),
}
"""Column of a row -> task, and what picks its row of metrics.json."""

TARGET_ERROR, TARGET_ERROR_ALL = "target_error", "target_error_all"
"""Mean squared error of the training studies' targets against what the film shows (Brier score): of the entries that
the report leaves uncertain, and of all entries of the findings that the phantom draws."""

SENTENCES, SENTENCES_BEFORE = "sentence_recall", "sentence_recall_before"
"""Share of held-out English sentences whose nearest sentence of another language is their translation, mean over those
languages: by the model, and by the text encoder that it started from (null without one)."""

COLUMNS_OF = {
    "zero_shot": ("zero_shot_english", "zero_shot_mean", "zero_shot_worst"),
    "retrieval": ("precision_at_5", "recall_at_10"),
    "text": (SENTENCES, SENTENCES_BEFORE),
    "targets": (TARGET_ERROR, TARGET_ERROR_ALL),
}
"""Measure -> its columns of a row."""

EVIDENCE = {
    "score": pl.String,
    "language": pl.String,
    "query": pl.String,
    "unit": pl.String,
    "patient_id": pl.String,
    "value": pl.Float64,
    "relevant": pl.Boolean,
}
"""A run's evidence: the value of a score for a unit (an image, a study, a sentence, a target) of a patient. Only of
`similarity` there is a query, a prompt, and whether the image has its class."""


def columns(study: Study) -> list[str]:
    """The measured columns of a study's rows."""
    return [name for measure in study.measures for name in COLUMNS_OF[measure]]


def measure(run: Run) -> Row | None:
    """The row of a run, if it is finished; its evidence is written beside it."""
    if run.row_file.exists():
        row: Row = json.loads(run.row_file.read_text(encoding="utf-8"))
        return row
    wanted = run.study.measures
    if not all(run.metrics(task).exists() for task in run.study.tasks):
        return None
    row = {"variant": run.variant.name, "seed": run.seed}
    for name, (task, chosen) in FIGURES.items():
        if task in wanted:
            (found,) = (entry for entry in json.loads(run.metrics(task).read_text()) if chosen.items() <= entry.items())
            row |= {name: round(found["value"], 4), "n": row.get("n", found["n"])}
    parts = []
    if "zero_shot" in wanted:
        parts.append(zero_shot_evidence(run.metrics("zero_shot").with_name("predictions.parquet")))
    if "retrieval" in wanted or "text" in wanted:
        encoder = load_encoder(str(run.results / "pretrain" / run.experiment / "model"))
        benchmark = read_benchmark(run.results / f"benchmarks/{run.dataset}.{run.study.asked['split']}.json")
        if "retrieval" in wanted:
            parts.append(retrieval_evidence(encoder, benchmark, PackedImages([run.results / "pack" / run.dataset])))
        if "text" in wanted:
            parts.append(sentence_evidence(encoder.texts, benchmark, SENTENCES))
            before = sentence_evidence(_text_tower(run), benchmark, SENTENCES_BEFORE) if run.text_settings else _empty()
            parts.append(before)
            row |= {name: _rounded(part["value"]) for name, part in zip(COLUMNS_OF["text"], parts[-2:], strict=True)}
    if "targets" in wanted:
        errors = target_errors(run.results)
        uncertain = errors.filter("uncertain")
        parts.append(_evidence(uncertain.select(pl.lit(TARGET_ERROR).alias("score"), "unit", "patient_id", "value")))
        row |= {TARGET_ERROR: _rounded(uncertain["value"]), TARGET_ERROR_ALL: _rounded(errors["value"])}
        row["uncertain_entries"] = len(uncertain)
    run.folder.mkdir(parents=True, exist_ok=True)
    pl.concat(parts).write_parquet(run.evidence_file)
    write_json(row, run.row_file)
    return row


def zero_shot_evidence(predictions: Path) -> pl.DataFrame:
    """Whether each sample is classified right in each language."""
    table = read_table(predictions, PREDICTIONS)
    right = (pl.col("truth") == pl.col("predicted")).cast(pl.Float64).alias("value")
    return _evidence(
        table.select(pl.lit("zero_shot").alias("score"), "language", pl.col("id").alias("unit"), "patient_id", right)
    )


def retrieval_evidence(encoder: Encoder, benchmark: Benchmark, images: PackedImages) -> pl.DataFrame:
    """Cosines of every prompt with every image that has a class, and whether a study's text is among the ten nearest.

    Of identical texts each is right.
    """
    samples = list(benchmark.samples)
    features = encoder.images(np.stack(images.read([sample.image_id for sample in samples])))
    labelled = [number for number, sample in enumerate(samples) if sample.label is not None]
    parts = []
    for code, by_class in benchmark.prompts.items():
        for label, name in enumerate(benchmark.classes):
            cosines = encoder.texts(list(by_class[name])) @ features[labelled].T
            for prompt, row in zip(by_class[name], cosines, strict=True):
                parts.append(
                    {
                        "score": ["similarity"] * len(labelled),
                        "language": [code] * len(labelled),
                        "query": [f"{name}: {prompt}"] * len(labelled),
                        "unit": [samples[number].image_id for number in labelled],
                        "patient_id": [samples[number].patient_id for number in labelled],
                        "value": row.astype(np.float64).tolist(),
                        "relevant": [samples[number].label == label for number in labelled],
                    }
                )
    for code, texts in benchmark.texts.items():
        ranked = instance_ranks(features, [sample.study_id for sample in samples], encoder, texts)
        kept = ranked.kept
        parts.append(
            {
                "score": ["recall_at_10"] * len(kept),
                "language": [code] * len(kept),
                "unit": [samples[number].image_id for number in kept],
                "patient_id": [samples[number].patient_id for number in kept],
                "value": recall_at_k(ranked.by_direction["image_to_text"], 10).tolist(),
            }
        )
    return pl.concat([_evidence(pl.DataFrame(part)) for part in parts])


def sentence_evidence(texts: Any, benchmark: Benchmark, score: str) -> pl.DataFrame:
    """Whether each held-out English sentence is nearest to its translation, in every other language.

    Args:
        texts: sentences -> [n, D] embeddings of length 1.
    """
    english = texts(benchmark.parallel[ENGLISH])
    parts = []
    for code, sentences in benchmark.parallel.items():
        if code != ENGLISH:
            right = nearest_is_translation(english, texts(sentences))
            units = [f"sentence {number}" for number in range(len(right))]
            frame = {"score": score, "language": code, "unit": units, "patient_id": units, "value": right}
            parts.append(_evidence(pl.DataFrame(frame)))
    return pl.concat(parts)


def _text_tower(run: Run) -> Any:
    """Embeds sentences by the text encoder that a run started from."""
    folder = run.results / "pretrain_text" / run.text_experiment / "model"
    tokenizer = load_tokenizer(folder)
    backbone = load_pretrained(AutoModel, folder, TextTower(name=str(folder), max_tokens=8)).eval()

    def embed(sentences: Sequence[str]) -> Floats:
        return sentence_features(backbone, tokenizer, sentences)

    return embed


def target_errors(results: Path) -> pl.DataFrame:
    """Squared error of each entry of the training studies' targets: unit, patient_id, uncertain, value.

    Only the findings that the phantom draws have a truth. Of vectors with one-hot slots, that of present counts.
    """
    ingest = sorted((results / "ingest").glob("*/studies.parquet"))
    studies = read_tables(list(ingest), STUDIES).filter(pl.col("split") == "train").select("study_id", "patient_id")
    given = read_tables([file.with_name("labels.parquet") for file in ingest], LABELS)
    read = read_tables(sorted((results / "label").glob("*.labels.parquet")), LABELS)
    targets = read_table(results / "disambiguate/targets.parquet", TARGETS).filter(pl.col("kind") == "study")
    vectors = targets.select(
        pl.col("id").alias("study_id"),
        *(pl.col("vector").list.get(number).alias(name) for number, name in enumerate(COLUMNS)),
    )
    parts = [
        _long(table, name)
        for table, name in (
            (vectors, "target"),
            (read.filter(pl.col("kind") == "study").rename({"id": "study_id"}), "state"),
            (given.filter(kind="study", label_source="truth").rename({"id": "study_id"}), "truth"),
        )
    ]
    joined = studies
    for part in parts:
        joined = joined.join(
            part, on=["study_id", "column"] if "column" in joined.columns else ["study_id"], how="inner"
        )
    return joined.select(
        pl.concat_str("study_id", pl.lit("/"), "column").alias("unit"),
        "patient_id",
        (pl.col("state") == UNCERTAIN).fill_null(False).alias("uncertain"),
        ((pl.col("target") - pl.col("truth")) ** 2).alias("value"),
    ).sort("unit")


def _long(table: pl.DataFrame, name: str) -> pl.DataFrame:
    drawn = [column(finding) for finding in OBSERVATIONS if finding in FINDINGS]
    wide = table.select("study_id", pl.col(drawn).cast(pl.Float64))
    return wide.unpivot(drawn, index="study_id", variable_name="column", value_name=name)


def _evidence(part: pl.DataFrame) -> pl.DataFrame:
    """A part of the evidence, with all its columns."""
    lacking = [pl.lit(None, kind).alias(name) for name, kind in EVIDENCE.items() if name not in part.columns]
    return part.with_columns(lacking).select(list(EVIDENCE)).cast(dict(EVIDENCE))  # type: ignore[arg-type]


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema=EVIDENCE)


def _rounded(values: pl.Series) -> float | None:
    return round(float(values.to_numpy().mean()), 4) if len(values) else None
