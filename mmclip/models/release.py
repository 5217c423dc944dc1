"""A model's folder with all that became known after training: what one keeps, or gives to others."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mmclip.errors import UserError
from mmclip.models import folder
from mmclip.models.card import CARD, Measured, ModelCard, read_card, write_card
from mmclip.models.digest import weights_digest
from mmclip.models.output import check_output
from mmclip.tables.benchmark import Benchmark, read_benchmark
from mmclip.tables.evaluation import read_metrics
from mmclip.tables.files import atomic

Prompts = dict[str, dict[str, tuple[str, ...]]]
"""Language -> class -> sentences."""


def release(
    model: Path,
    output: Path,
    *,
    metrics: Sequence[Path] = (),
    benchmarks: Sequence[Path] = (),
    translated_by: Sequence[str] = (),
    label_source: str = "",
    reviewed_by: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Write a copy of a model's folder whose card shows what was measured, and whose prompts are the benchmarks'.

    What the card has already stays; a row measured again replaces the older one, and whoever reviewed a language's
    prompts is forgotten when they change. Where two benchmarks ask otherwise for a class, the first's prompts are shown
    and the card says so.

    Args:
        model: a folder of :meth:`DualEncoder.save_pretrained`.
        output: the folder to write; a model that is there is replaced.
        metrics: what `mmclip evaluate` wrote.
        benchmarks: what `mmclip benchmark` wrote; only their prompts are taken, none of their texts.
        translated_by: the engines behind translated texts.
        label_source: whose labels the targets were made of.
        reviewed_by: language -> who reviewed its prompts.

    Returns:
        how many rows the card shows, and in how many languages there are prompts.

    Raises:
        UserError: a file is not what it should be, its rows are of another model or of other prompts than the
            benchmarks', a reviewed language has none, or `output` would replace `model` or something that is no model.
    """
    check_output(output, model)
    settings = folder.read(model).settings
    card = read_card(model) if (model / CARD).exists() else ModelCard()
    made = [read_benchmark(path) for path in benchmarks]
    found, notes = _prompts(made)
    prompts = {code: {**card.prompts.get(code, {}), **found.get(code, {})} for code in {**card.prompts, **found}}
    reviewers = _reviewers(card, prompts, reviewed_by or {})
    rows = _rows(card, metrics, model, {one.prompt_hash for one in made})
    changes = {
        "metrics": rows,
        "prompts": prompts,
        "prompts_reviewed_by": reviewers,
        "notes": tuple(dict.fromkeys([*card.notes, *notes])),
        "label_source": label_source or card.label_source,
        "translated_by": tuple(dict.fromkeys([*card.translated_by, *translated_by])),
    }
    with atomic(output) as temporary:
        shutil.copytree(model, temporary)
        write_card(card.model_copy(update=changes), settings, temporary)
    return {"rows": len(rows), "prompts": len(prompts)}


def _prompts(benchmarks: Sequence[Benchmark]) -> tuple[Prompts, list[str]]:
    """Language -> class -> sentences of all benchmarks, and lines on benchmarks with other sentences for a class."""
    found: Prompts = {}
    first: dict[str, str] = {}
    notes = []
    for made in benchmarks:
        other: set[str] = set()
        for code, by_class in made.prompts.items():
            for name, sentences in by_class.items():
                if found.setdefault(code, {}).setdefault(name, sentences) != sentences:
                    other.add(name)
                first.setdefault(name, made.dataset)
        notes += [
            f"- the prompts of {name} are {first[name]}'s; {made.dataset} was scored with others"
            for name in sorted(other)
        ]
    return found, notes


def _reviewers(card: ModelCard, prompts: Prompts, named: Mapping[str, str]) -> dict[str, str]:
    """Who reviewed these prompts: those who are named now, and those of the card whose prompts are still the same."""
    unknown = [code for code in named if code not in prompts]
    if unknown:
        raise UserError(
            f"--reviewed {unknown[0]}: there are no prompts in it; they are in {', '.join(prompts) or 'none'}"
        )
    same = {code: who for code, who in card.prompts_reviewed_by.items() if prompts.get(code) == card.prompts.get(code)}
    return {**same, **named}


def _rows(card: ModelCard, files: Sequence[Path], model: Path, hashes: Collection[str]) -> tuple[Measured, ...]:
    """The card's rows and those of the files, each thing that was measured once.

    Args:
        hashes: of what the benchmarks ask the text tower; without any, rows are not compared with them.
    """
    digest = weights_digest(model)
    rows = {row.about(): row for row in card.metrics}
    for path in files:
        for row in read_metrics(path):
            if row.model_digest != digest:
                raise UserError(
                    f"{path}: measured a model with digest {row.model_digest}, and {model} has {digest}; "
                    "evaluate this folder"
                )
            if hashes and row.prompt_hash and row.prompt_hash not in hashes:
                raise UserError(
                    f"{path}: was measured on {row.dataset} with prompts of hash {row.prompt_hash}, and the benchmarks "
                    f"have {', '.join(sorted(hashes))}; give --benchmark the file that was evaluated, or evaluate again"
                )
            measured = Measured.model_validate(row.model_dump(include=set(Measured.model_fields)))
            rows[measured.about()] = measured
    return tuple(rows.values())
