"""The card of a trained model, from what its training read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.config.training import ExperimentSettings
from mmclip.data.corpus import Corpus
from mmclip.languages import ENGLISH
from mmclip.models.card import DataSet, ModelCard
from mmclip.tables.card import read_card

TRANSLATED = "- texts in other languages than their reports' are machine translations that no radiologist has reviewed"


def model_card(
    experiment: str,
    settings: ExperimentSettings,
    summary: dict[str, Any],
    corpus: Corpus,
    targets: pl.DataFrame,
    ingest: Sequence[Path],
    text_model: Path | None = None,
    notes: Sequence[str] = (),
) -> ModelCard:
    """What is known when training ends; `mmclip release` adds what is measured afterwards.

    Args:
        experiment: its name.
        summary: of the run, with images, texts, steps and batch_size.
        corpus: the texts that were learned from.
        targets: a TARGETS table; its policies are the label policy.
        ingest: folders of the data sets, whose cards are read.
        text_model: the folder of the text tower's own pretraining.
        notes: further lines.
    """
    objectives = [f"{entry.name} (weight {entry.weight:g})" for entry in settings.objectives]
    cards = [read_card(folder / "card.json") for folder in ingest if (folder / "card.json").exists()]
    counts = [int((corpus.language == number).sum()) for number in range(len(corpus.languages))]
    return ModelCard(
        experiment=experiment,
        training={
            "objectives": ", ".join(objectives),
            "images": summary["images"],
            "texts": summary["texts"],
            "steps": summary["steps"],
            "batch size": summary["batch_size"],
            "seed": settings.seed,
            **({"text tower": "pretrained on the same languages before"} if text_model else {}),
        },
        data=tuple(DataSet(name=c.name, licence=c.licence, note=c.note, forbids=c.forbids) for c in cards),
        texts=dict(zip(corpus.languages, counts, strict=True)),
        weights=_weights(settings),
        label_policy=label_policies(targets),
        notes=(*([TRANSLATED] if set(corpus.languages) != {ENGLISH} else []), *(f"- {note}" for note in notes)),
    )


def label_policies(targets: pl.DataFrame) -> dict[str, str]:
    """Observation -> what became of its uncertain labels, as the rows of a TARGETS table say."""
    found: dict[str, set[str]] = {}
    for row in targets["policy"].unique():
        for part in filter(None, row.split("; ")):
            name, _, policy = part.partition(": ")
            found.setdefault(name, set()).add(policy)
    return {name: ", ".join(sorted(policies)) for name, policies in sorted(found.items())}


def _weights(settings: ExperimentSettings) -> dict[str, str]:
    """The published weights that training started from; a text tower pretrained here started from the same."""
    image, text = settings.model.image, settings.model.text
    named = {"image weights": (image.pretrained, image.name), "text weights": (text.kind == "pretrained", text.name)}
    return {role: name for role, (used, name) in named.items() if used}
