"""A small data set on disk: two packs, a corpus in three languages, soft labels."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmclip.config.base import parse
from mmclip.config.training import ExperimentSettings
from mmclip.observations import COLUMNS, OBSERVATIONS
from mmclip.ops import build
from mmclip.tables.files import write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.imaging import INDEX
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import LABELS, TARGETS

LANGUAGES = ("eng_Latn", "deu_Latn", "jpn_Jpan")
SENTENCES = {
    "eng_Latn": ["The heart is enlarged.", "No pleural effusion.", "Lungs are clear.", "Mild edema is seen."],
    "deu_Latn": ["Das Herz ist vergrößert.", "Kein Pleuraerguss.", "Lungen sind frei.", "Leichtes Ödem sichtbar."],
    "jpn_Jpan": ["心臓は拡大しています。", "胸水はありません。", "肺は清明です。", "軽度の浮腫を認めます。"],
}
SENTENCE_LABELS = [{"Cardiomegaly": 1.0}, {"No Finding": 1.0}, {"No Finding": 1.0}, {"Edema": 1.0}]


@pytest.fixture(scope="session", autouse=True)
def one_form_of_the_loss() -> None:
    """The extension is built before any run, so that a test and its child processes compute the same bits."""
    with suppress(build.ExtensionError):
        build.build()


@dataclass(frozen=True)
class SmallData:
    """Paths as the stages take them."""

    root: Path
    ingest: list[Path]
    packs: list[Path]
    corpus: list[Path]
    targets: Path
    labels: list[Path]


def vector(values: dict[str, float]) -> list[float]:
    return [values.get(name, 0.0) for name in OBSERVATIONS]


def sentences_of(study: int) -> list[int]:
    """Numbers of the sentences in a study's report: two to four."""
    return [(study + step) % 4 for step in range(2 + study % 3)]


def write_small_data(root: Path, studies: int = 40, size: int = 20) -> SmallData:
    random = np.random.default_rng(0)
    ids = [f"s{number:03d}" for number in range(studies)]
    splits = ["val" if number % 5 == 4 else "test" if number % 10 == 3 else "train" for number in range(studies)]
    ingest, packs, labels = [], [], []
    for dataset, chosen in (("one", range(studies // 2)), ("two", range(studies // 2, studies))):
        folder, pack = root / "ingest" / dataset, root / "pack" / dataset
        pack.mkdir(parents=True)
        ingest.append(folder)
        packs.append(pack)
        labels.append(root / f"labels-{dataset}.parquet")
        study_rows: list[dict[str, Any]] = []
        image_rows: list[dict[str, Any]] = []
        index_rows: list[dict[str, Any]] = []
        label_rows: list[dict[str, Any]] = []
        pixels = []
        for number in chosen:
            common = {"study_id": ids[number], "patient_id": f"p{number // 2}", "split": splits[number]}
            text = " ".join(SENTENCES["eng_Latn"][sentence] for sentence in sentences_of(number))
            study_rows.append(
                {
                    **common,
                    "language": "eng_Latn",
                    "findings": text,
                    "impression": None,
                    "text": text,
                    "source": dataset,
                }
            )
            image = f"i{number:03d}"
            image_rows.append(
                {
                    **common,
                    "image_id": image,
                    "path": f"{image}.jpg",
                    "view": "PA",
                    "width": size,
                    "height": size,
                    "sha256": "",
                }
            )
            level = 60 * (number % 4)
            pixels.append(np.clip(random.normal(level, 20, (size, size)), 0, 255).astype(np.uint8))
            index_rows.append(
                {
                    "image_id": image,
                    "shard": 0,
                    "row": len(index_rows),
                    "frames": 1,
                    "width": size,
                    "height": size,
                    "scale": 1.0,
                    "offset_x": 0.0,
                }
                | {"offset_y": 0.0, "sha256": str(number)}
            )
            states = dict.fromkeys(COLUMNS)
            states |= {"cardiomegaly": [1, 0, -1, None][number % 4], "edema": number % 2}
            label_rows.append({"id": ids[number], "kind": "study", "label_source": "rules", **states})
        write_table(STUDIES.frame(study_rows), folder / "studies.parquet", STUDIES)
        write_table(IMAGES.frame(image_rows), folder / "images.parquet", IMAGES)
        write_table(INDEX.frame(index_rows), pack / "index.parquet", INDEX)
        write_table(LABELS.frame(label_rows), labels[-1], LABELS)
        np.save(pack / "pixels-00000.npy", np.stack(pixels))
    corpus = [_write_corpus(root, language, ids) for language in LANGUAGES]
    rows: list[dict[str, Any]] = []
    for number, study in enumerate(ids):
        found = [vector(SENTENCE_LABELS[sentence]) for sentence in sentences_of(number)]
        whole = np.max(found, axis=0)
        whole[0] = np.min(found, axis=0)[0]
        rows.append({"id": study, "kind": "study", "vector": whole.tolist(), "policy": "x"})
        rows += [
            {"id": f"{study}/{index}", "kind": "sentence", "vector": found[index], "policy": "x"}
            for index in range(len(found))
        ]
    write_table(TARGETS.frame(rows), root / "targets.parquet", TARGETS)
    return SmallData(root, ingest, packs, corpus, root / "targets.parquet", labels)


def _write_corpus(root: Path, language: str, ids: list[str]) -> Path:
    rows = []
    for number, study in enumerate(ids):
        indices = list(range(len(sentences_of(number))))
        if language == "deu_Latn" and number % 7 == 0:
            indices = indices[1:]  # as where the filter dropped a sentence
        if language == "jpn_Jpan" and number % 3 == 0:
            continue  # and where it dropped the text
        pieces = [SENTENCES[language][sentences_of(number)[index]] for index in indices]
        rows.append(
            {"study_id": study, "language": language, "text": " ".join(pieces), "sentences": pieces, "indices": indices}
            | {"reasons": []}
        )
    path = root / "corpus" / f"{language}.parquet"
    write_table(CORPUS.frame(rows), path, CORPUS)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallData:
    """40 studies of 20 patients, an image each."""
    return write_small_data(tmp_path_factory.mktemp("small"))


def experiment(task: str, **changes: Any) -> ExperimentSettings:
    """Settings of a tiny experiment; `changes` replaces whole sections, or updates those that are dicts."""
    values: dict[str, Any] = {
        "task": task,
        "model": {
            "image": {"name": "test_convnext", "size": 32},
            "text": {"kind": "scratch", "layers": 1, "width": 16, "heads": 2, "feedforward": 32, "max_tokens": 40},
            "projection": 8,
        },
        "tokenizer": {"vocabulary": 400},
        "data": {"languages": LANGUAGES, "augmentation": {"noise": 0.02}},
        "optimisation": {
            "steps": 20,
            "batch_size": 12,
            "learning_rate": 1e-3,
            "precision": "fp32",
            "threads": 1,
            "workers": 1,
        },
        "saving": {"every": 10, "log_every": 4},
    }
    if task == "align":
        values["objectives"] = [{"name": "three_m_clip", "settings": {"label_scale": 10}}]
    for name, change in changes.items():
        values[name] = values.get(name, {}) | change if isinstance(change, dict) else change
    return parse(ExperimentSettings, values)
