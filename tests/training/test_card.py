"""The card that training writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import torch

from mmclip.config.base import parse
from mmclip.config.training import ExperimentSettings
from mmclip.models.card import readme
from mmclip.tables.card import Card
from mmclip.tables.files import read_table
from mmclip.tables.labeling import TARGETS
from mmclip.training.card import label_policies, model_card
from mmclip.training.distributed import World
from mmclip.training.stage import _Sources
from tests.training.conftest import SmallData, experiment

SUMMARY: dict[str, Any] = {"images": 9, "texts": 40, "steps": 7, "batch_size": 4}


def test_it_says_what_training_read(small: SmallData) -> None:
    settings = experiment("align")
    sources = _Sources(settings, small.ingest, small.packs, small.corpus, small.targets, None)
    corpus = sources.batches("train", True, World(0, 1, torch.device("cpu"))).corpus
    card = model_card(
        "small", settings, SUMMARY, corpus, read_table(small.targets, TARGETS), small.ingest, notes=["a note"]
    )
    assert sum(card.texts.values()) == len(corpus) and tuple(card.texts) == corpus.languages
    assert card.experiment == "small" and card.training["steps"] == 7 and not card.weights
    text = readme(card, settings.model)
    for line in ("- a note", "machine translations that no radiologist has reviewed", "- steps: 7"):
        assert line in text, line


def test_published_weights_are_in_the_lineage(small: SmallData) -> None:
    values = experiment("align").model_dump(mode="json")
    values["model"]["image"] |= {"pretrained": True, "name": "swin_tiny_patch4_window7_224"}
    values["model"]["text"] |= {"kind": "pretrained", "name": "xlm-roberta-base"}
    small_one = experiment("align")
    sources = _Sources(small_one, small.ingest, small.packs, small.corpus, small.targets, None)
    corpus = sources.batches("train", True, World(0, 1, torch.device("cpu"))).corpus
    settings = parse(ExperimentSettings, values)
    card = model_card("small", settings, SUMMARY, corpus, read_table(small.targets, TARGETS), [], Path("text"))
    assert card.weights == {"image weights": "swin_tiny_patch4_window7_224", "text weights": "xlm-roberta-base"}
    assert {origin.licence for origin in card.origins()} == {"MIT"}


def test_a_data_sets_terms_are_the_models(small: SmallData, tmp_path: Path) -> None:
    settings = experiment("align")
    sources = _Sources(settings, small.ingest, small.packs, small.corpus, small.targets, None)
    corpus = sources.batches("train", True, World(0, 1, torch.device("cpu"))).corpus
    data = Card(
        name="mimic_cxr",
        kind="mimic_cxr",
        version="2.1.0",
        note="one hospital",
        licence="PhysioNet Credentialed Health Data License 1.5.0",
        forbids=("sharing the data",),
        share="restricted",
        settings={},
        sources={},
        files={},
        counts={},
    )
    (tmp_path / "card.json").write_text(data.model_dump_json())
    card = model_card("small", settings, SUMMARY, corpus, sources.targets, [tmp_path])
    text = readme(card, settings.model)
    assert "- mimic_cxr (PhysioNet Credentialed Health Data License 1.5.0): one hospital" in text
    assert "mimic_cxr forbids: sharing the data" in text and "**Bound by a data use agreement" in text


def test_policies_of_all_rows_are_gathered() -> None:
    rows = ["", "Edema: U-Ones; Pneumonia: U-Zeros", "Edema: U-Ones 0.55-0.85", "Consolidation: U-SelfTrained, U-Zeros"]
    table = pl.DataFrame({"policy": rows})
    assert label_policies(table) == {
        "Consolidation": "U-SelfTrained, U-Zeros",
        "Edema": "U-Ones, U-Ones 0.55-0.85",
        "Pneumonia": "U-Zeros",
    }
