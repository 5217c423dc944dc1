"""A small run's folder, written with the real tables: what the report reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from mmclip.observations import COLUMNS, FIVE, column
from mmclip.tables.benchmark import Benchmark, Sample, write_benchmark
from mmclip.tables.card import Card
from mmclip.tables.files import write_json, write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import STUDIES
from mmclip.tables.labeling import LABELS, SENTENCE_LABELS
from mmclip.tables.phantom import STATEMENTS
from mmclip.tables.translation import SCORED
from tests.report.tree_results import write_evaluation, write_text_model, write_timing, write_training, write_tuned

LANGUAGES = ("eng_Latn", "spa_Latn", "arb_Arab", "zho_Hans")

EXPERIMENTS = {"three_m_clip": 0.62, "clip": 0.48, "shuffled_pairs": 0.21, "three_m_clip_unfiltered": 0.55}
"""Experiment -> how often it is right."""


def write_tree(
    root: Path,
    dataset: str = "phantom",
    share: str = "public",
    studies: int = 60,
    text: str = "",
    truth: bool = True,
) -> Path:
    """Write everything that a run leaves, below `root`; `text` is added to each report.

    Without `truth`, as real data: nobody knows what a sentence asserts nor which translation is wrong, and the test's
    prompts are native.
    """
    write_source(root, dataset, share, studies, text)
    benchmark = write_benchmark_file(root, dataset, studies)
    if not truth:
        (root / "ingest" / dataset / "statements.parquet").unlink()
        write_json(_unknown_faults(), root / "filter" / "filtered" / "faults_report.json")
        benchmark = benchmark.model_copy(update={"test_text": "native"})
    for experiment, level in EXPERIMENTS.items():
        write_evaluation(root, benchmark, experiment, level)
        write_training(root, experiment, 0.0 if experiment == "clip" else 3.2)
    write_tuned(root, benchmark, "three_m_clip", 0.81)
    write_text_model(root, LANGUAGES)
    write_timing(root)
    return root


def write_source(root: Path, dataset: str, share: str, studies: int, text: str) -> None:
    """ingest, pack, label and filter of one data set; study i shows class i modulo 5."""
    ids = [f"{dataset}-s{number:04d}" for number in range(studies)]
    report = f"The heart is large. No effusion. {text}".strip()
    folder = root / "ingest" / dataset
    rows: list[dict[str, object]] = [
        {
            "study_id": study,
            "patient_id": f"{dataset}-p{number // 2:04d}",
            "language": "eng_Latn",
            "text": report,
            "split": "test" if number % 2 else "train",
            "source": dataset,
        }
        for number, study in enumerate(ids)
    ]
    write_table(STUDIES.frame(rows), folder / "studies.parquet", STUDIES)
    counts = {
        "studies": studies,
        "images": studies,
        "patients": studies // 2,
        "skipped": {},
        "splits": {
            split: {"studies": studies // 2, "images": studies // 2, "patients": studies // 4}
            for split in ("train", "test")
        },
    }
    card = Card(
        name=dataset,
        kind="phantom",
        version="1",
        note="simulated, not clinical" if share == "public" else "",
        licence="Apache-2.0",
        share=share,
        settings={},
        sources={},
        files={"studies.parquet": "ab" * 32},
        counts=counts,
    )
    write_json(card.model_dump(), folder / "card.json")
    write_json(counts, folder / "counts.json")
    _write_pack(root, dataset, [f"{study}-i0" for study in ids])
    _write_labels(root, dataset, ids)
    for language in LANGUAGES:
        _write_filtered(root, dataset, language, ids, report)
    write_json(_faults(studies), root / "filter" / "filtered" / "faults_report.json")


def _write_pack(root: Path, dataset: str, images: Sequence[str], size: int = 48) -> None:
    rng = np.random.default_rng(0)
    folder = root / "pack" / dataset
    folder.mkdir(parents=True)
    pixels = rng.integers(0, 256, (len(images), size, size), dtype=np.uint8)
    np.save(folder / "pixels-00000.npy", pixels, allow_pickle=False)
    rows: list[dict[str, object]] = [
        {
            "image_id": name,
            "shard": 0,
            "row": number,
            "frames": 1,
            "width": size,
            "height": size,
            "scale": 1.0,
            "offset_x": 0.0,
            "offset_y": 0.0,
            "sha256": "0",
        }
        for number, name in enumerate(images)
    ]
    write_table(INDEX.frame(rows), folder / "index.parquet", INDEX)


def _write_labels(root: Path, dataset: str, ids: Sequence[str]) -> None:
    """Two sentences a study: a large heart, and no effusion, which the labeler overlooks in every tenth study."""
    said = [{column("Cardiomegaly"): 1}, {column("Pleural Effusion"): 0}]
    statements: list[dict[str, object]] = []
    read: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    for number, study in enumerate(ids):
        for index, states in enumerate(said):
            statements.append({"study_id": study, "index": index, "frame": "f", "wrong": False, **states})
            found = {} if number % 10 == 0 and index == 1 else states
            read.append({"study_id": study, "index": index, "source_hash": "0", **found})
        labels.append(
            {"id": study, "kind": "study", "label_source": "rules", **dict.fromkeys(COLUMNS, None), **said[0]}
        )
    write_table(STATEMENTS.frame(statements), root / "ingest" / dataset / "statements.parquet", STATEMENTS)
    folder = root / "label"
    write_table(SENTENCE_LABELS.frame(read), folder / f"{dataset}-000.sentence_labels.parquet", SENTENCE_LABELS)
    write_table(LABELS.frame(labels), folder / f"{dataset}-000.labels.parquet", LABELS)


def _write_filtered(root: Path, dataset: str, language: str, ids: Sequence[str], report: str) -> None:
    """Of two sentences a study, the second is dropped in every fifth."""
    scored = pl.DataFrame(
        [
            {
                "study_id": study,
                "index": index,
                "source": report,
                "translation": report,
                "engine": "memory",
                "flags": [],
                "kept": not (index and number % 5 == 0),
                "reasons": [],
            }
            for number, study in enumerate(ids)
            for index in (0, 1)
        ],
        schema=SCORED.columns,
    )
    texts: list[dict[str, object]] = [
        {"study_id": study, "language": language, "text": report, "sentences": [report], "indices": [0], "reasons": []}
        for study in ids
    ]
    folder, name = root / "filter" / "filtered", f"{language}/{dataset}-000.parquet"
    write_table(scored, folder / "sentences" / name, SCORED)
    write_table(CORPUS.frame(texts), folder / "corpus" / name, CORPUS)
    write_table(CORPUS.empty(), folder / "rejected" / name, CORPUS)


def _faults(studies: int) -> dict[str, list[dict[str, object]]]:
    kinds = {"loop": (19, 20), "swap_side": (15, 20), "not_injected": (2, 2 * studies)}
    rows = [
        {"language": language, "kind": kind, "sentences": total, "rejected": hits, "share": hits / total}
        for language in LANGUAGES
        for kind, (hits, total) in kinds.items()
    ]
    overall = [
        {"kind": kind, "sentences": 4 * total, "rejected": 4 * hits, "share": hits / total}
        for kind, (hits, total) in kinds.items()
    ]
    return {"by_language": rows, "overall": overall, "reasons": []}  # type: ignore[dict-item]


def _unknown_faults() -> dict[str, list[dict[str, object]]]:
    """Of 480 sentences 96 are rejected; the kind of none is known."""
    counts = {"sentences": 120, "rejected": 24, "share": 0.2}
    reasons = {"laterality": 15, "negation": 10, "copy": 2}
    return {
        "by_language": [{"language": code, "kind": "not_injected", **counts} for code in LANGUAGES],
        "overall": [{"kind": "not_injected", "sentences": 480, "rejected": 96, "share": 0.2}],
        "reasons": [
            {"language": code, "reason": reason, "sentences": number}
            for code in LANGUAGES
            for reason, number in reasons.items()
        ],
    }


def write_benchmark_file(root: Path, dataset: str, studies: int) -> Benchmark:
    """The odd studies, with a prompt a class and language."""
    samples = [
        Sample(
            image_id=f"{dataset}-s{n:04d}-i0",
            study_id=f"{dataset}-s{n:04d}",
            patient_id=f"{dataset}-p{n // 2:04d}",
            label=n % 5,
        )
        for n in range(1, studies, 2)
    ]
    benchmark = Benchmark(
        dataset=dataset,
        split="test",
        test_text="phrasebook",
        classes=FIVE,
        samples=tuple(samples),
        prompts={code: {name: (f"{name} in {code}",) for name in FIVE} for code in LANGUAGES},
    )
    write_benchmark(benchmark, root / "benchmarks" / f"{dataset}.test.json")
    return benchmark


def restricted_card(path: Path) -> None:
    """Make an ingested data set restricted."""
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "share": "restricted"}), encoding="utf-8")
