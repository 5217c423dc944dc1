"""Data of any size for the benchmark of a training step: drawn pixels, and reports of words that mean nothing.

Sentences have lognormal lengths around 11 words, reports two to eight sentences: between the impressions and the full
reports of public data. All is written as the tables that training reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmclip.config.base import parse
from mmclip.config.training import ExperimentSettings
from mmclip.observations import OBSERVATIONS
from mmclip.tables.files import write_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.imaging import INDEX, array_name
from mmclip.tables.ingest import IMAGES, STUDIES
from mmclip.tables.labeling import TARGETS
from mmclip.training.distributed import World
from mmclip.training.stage import _Sources

PACKED, STUDY_COUNT, WORDS = 256, 512, 1500
ENGLISH = "eng_Latn"

Rows = list[dict[str, Any]]


def reports(random: np.random.Generator) -> list[list[str]]:
    """The sentences of each study."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, random.integers(3, 11))) for _ in range(WORDS)]
    out = []
    for _ in range(STUDY_COUNT):
        lengths = np.clip(random.lognormal(np.log(10), 0.5, random.integers(2, 9)), 2, 40).astype(int)
        out.append([" ".join(random.choice(words, length)).capitalize() + "." for length in lengths])
    return out


def write_files(folder: Path) -> None:
    """studies, images, a pack, a corpus and targets below `folder`."""
    random = np.random.default_rng(0)
    studies: Rows = []
    images: Rows = []
    index: Rows = []
    corpus: Rows = []
    targets: Rows = []
    for number, sentences in enumerate(reports(random)):
        study = {"study_id": f"s{number}", "patient_id": f"p{number}", "split": "train"}
        text = " ".join(sentences)
        report = {"findings": text, "impression": None, "text": text, "language": ENGLISH, "source": "drawn"}
        studies.append({**study, **report})
        image = {"image_id": f"i{number}", "path": f"{number}.jpg", "view": "PA", "sha256": ""}
        images.append({**study, **image, "width": PACKED, "height": PACKED})
        place = {"image_id": f"i{number}", "shard": 0, "row": number, "frames": 1, "width": PACKED, "height": PACKED}
        index.append({**place, "scale": 1.0, "offset_x": 0.0, "offset_y": 0.0, "sha256": str(number)})
        indices = list(range(len(sentences)))
        corpus.append({"study_id": f"s{number}", "language": ENGLISH, "text": text, "sentences": sentences})
        corpus[-1] |= {"indices": indices, "reasons": []}
        ids = [(f"s{number}", "study"), *((f"s{number}/{place}", "sentence") for place in indices)]
        for name, kind in ids:
            vector = (random.random(len(OBSERVATIONS)) < 0.15).astype(float).tolist()
            targets.append({"id": name, "kind": kind, "vector": vector, "policy": ""})
    write_table(STUDIES.frame(studies), folder / "studies.parquet", STUDIES)
    write_table(IMAGES.frame(images), folder / "images.parquet", IMAGES)
    pack = folder / "pack"
    pack.mkdir()
    write_table(INDEX.frame(index), pack / "index.parquet", INDEX)
    np.save(pack / array_name(0), random.integers(0, 256, (STUDY_COUNT, PACKED, PACKED), dtype=np.uint8))
    write_table(CORPUS.frame(corpus), folder / "corpus.parquet", CORPUS)
    write_table(TARGETS.frame(targets), folder / "targets.parquet", TARGETS)


def experiment(**changes: Any) -> ExperimentSettings:
    """CLIP's objective on ViT-tiny and a text tower of its width; `changes` updates sections."""
    values: dict[str, Any] = {
        "objectives": [{"name": "clip"}],
        "model": {
            "image": {"name": "vit_tiny_patch16_224", "size": 112},
            "text": {"kind": "scratch", "layers": 6, "width": 192, "heads": 3, "feedforward": 768, "dropout": 0.0},
            "projection": 512,
        },
        "tokenizer": {"vocabulary": 8000},
        "data": {"languages": [ENGLISH]},
        "optimisation": {"steps": 1000},
    }
    for section, change in changes.items():
        values[section] = {**values[section], **change}
    return parse(ExperimentSettings, values)


def sources(folder: Path, settings: ExperimentSettings, world: World) -> tuple[Any, Any]:
    """The batches of a paired experiment, and its tokenizer."""
    found = _Sources(
        settings, [folder], [folder / "pack"], [folder / "corpus.parquet"], folder / "targets.parquet", None
    )
    return found.batches("train", False, world), found.tokenizer
