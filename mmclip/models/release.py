"""A model's folder with all that became known after training: what one keeps, or gives to others."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmclip.errors import UserError
from mmclip.models import folder
from mmclip.models.card import CARD, Measured, ModelCard, read_card, write_card
from mmclip.models.digest import weights_digest
from mmclip.tables.benchmark import read_benchmark
from mmclip.tables.evaluation import read_metrics
from mmclip.tables.files import atomic


def release(
    model: Path,
    output: Path,
    *,
    metrics: Sequence[Path] = (),
    benchmarks: Sequence[Path] = (),
    translated_by: Sequence[str] = (),
    reviewed_by: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Write a copy of a model's folder whose card shows what was measured, and whose prompts are the benchmarks'.

    What the card has already stays; a row measured again replaces the older one.

    Args:
        model: a folder of :meth:`DualEncoder.save_pretrained`.
        output: the folder to write, which is replaced.
        metrics: what `mmclip evaluate` wrote.
        benchmarks: what `mmclip benchmark` wrote; only their prompts are taken, none of their texts.
        translated_by: the engines behind translated texts.
        reviewed_by: language -> who reviewed its prompts.

    Returns:
        how many rows the card shows, and in how many languages there are prompts.

    Raises:
        UserError: a file is not what it should be, its rows are of another model, a reviewed language has no prompts,
            or `output` would replace `model`.
    """
    if model.resolve().is_relative_to(output.resolve()):
        raise UserError(f"{output}: would replace the model {model}; give another folder")
    settings = folder.read(model).settings
    card = read_card(model) if (model / CARD).exists() else ModelCard()
    prompts = {code: dict(by_class) for code, by_class in card.prompts.items()}
    for path in benchmarks:
        for code, by_class in read_benchmark(path).prompts.items():
            prompts.setdefault(code, {}).update(by_class)
    reviewers = {**card.prompts_reviewed_by, **(reviewed_by or {})}
    unknown = [code for code in reviewers if code not in prompts]
    if unknown:
        raise UserError(
            f"--reviewed {unknown[0]}: there are no prompts in it; they are in {', '.join(prompts) or 'none'}"
        )
    rows = _rows(card, metrics, model)
    changes = {
        "metrics": rows,
        "prompts": prompts,
        "prompts_reviewed_by": reviewers,
        "translated_by": tuple(dict.fromkeys([*card.translated_by, *translated_by])),
    }
    with atomic(output) as temporary:
        shutil.copytree(model, temporary)
        write_card(card.model_copy(update=changes), settings, temporary)
    return {"rows": len(rows), "prompts": len(prompts)}


def _rows(card: ModelCard, files: Sequence[Path], model: Path) -> tuple[Measured, ...]:
    """The card's rows and those of the files, each thing that was measured once."""
    digest = weights_digest(model)
    rows = {row.about(): row for row in card.metrics}
    for path in files:
        for row in read_metrics(path):
            if row.model_digest != digest:
                raise UserError(
                    f"{path}: measured a model with digest {row.model_digest}, and {model} has {digest}; "
                    "evaluate this folder"
                )
            measured = Measured.model_validate(row.model_dump(include=set(Measured.model_fields)))
            rows[measured.about()] = measured
    return tuple(rows.values())
