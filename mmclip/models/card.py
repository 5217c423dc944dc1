"""A model's card: what it was trained on, in which languages, what was measured, and under which terms it stands.

card.json holds the facts and README.md shows them; prompts and label policy also lie apart, for programs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mmclip.config.models import ModelSettings
from mmclip.errors import UserError
from mmclip.languages import ENGLISH, LANGUAGES
from mmclip.models.licences import Origin, consequences, known_licence

CARD, README, PROMPTS, POLICY = "card.json", "README.md", "prompts.json", "label_policy.json"

UNREVIEWED = "machine-written, not reviewed by a native radiologist"


class DataSet(BaseModel):
    """A data set that the model learned from.

    Attributes:
        note: what a reader must know of it, as "simulated, not clinical".
        forbids: what its licence forbids, a line each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    note: str = ""
    forbids: tuple[str, ...] = ()


class Measured(BaseModel):
    """A number that was measured after training, with its 95 % interval where there is one.

    Attributes:
        test_text: where the test's wording came from.
        interval: what was resampled: patients, or seeds and patients.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    dataset: str
    split: str
    test_text: str
    language: str
    direction: str
    metric: str
    k: int | None
    value: float
    low: float | None
    high: float | None
    interval: str
    n: int

    def about(self) -> tuple[str | int | None, ...]:
        """What was measured; two numbers of one thing are two measurements of it."""
        return (
            self.task, self.dataset, self.split, self.test_text, self.language, self.direction, self.metric, self.k
        )  # fmt: skip


class ModelCard(BaseModel):
    """The facts of card.json; what is empty is said to be unknown in README.md.

    Attributes:
        experiment: its name.
        training: what was done, in the order in which it is shown: objectives, steps, batch size, seed …
        data: the data sets.
        texts: language -> number of texts it learned from.
        translated_by: the engines behind texts that are translations.
        weights: role (image weights, text weights) -> the published model it started from.
        licences: name of weights or of an engine -> its licence, where mmclip does not know it.
        notes: further lines, as they are.
        prompts: language -> class -> sentences, those that zero-shot classification uses.
        prompts_reviewed_by: language -> who reviewed them; nobody where it is missing.
        label_policy: observation -> what became of uncertain labels.
        label_source: where labels came from.
        metrics: what was measured, with intervals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str = ""
    training: dict[str, str | int | float] = {}
    data: tuple[DataSet, ...] = ()
    texts: dict[str, int] = {}
    translated_by: tuple[str, ...] = ()
    weights: dict[str, str] = {}
    licences: dict[str, str] = {}
    prompts: dict[str, dict[str, tuple[str, ...]]] = {}
    prompts_reviewed_by: dict[str, str] = {}
    label_policy: dict[str, str] = {}
    label_source: str = ""
    notes: tuple[str, ...] = ()
    metrics: tuple[Measured, ...] = ()

    def origins(self) -> list[Origin]:
        """What the model was made from, with its terms."""
        named = [(name, role) for role, name in self.weights.items()] + [(e, "translation") for e in self.translated_by]
        return [
            *(Origin(one.name, "data", one.licence, one.forbids) for one in self.data),
            *(Origin(name, role, self.licences.get(name) or known_licence(name, role)) for name, role in named),
        ]


def write_card(card: ModelCard, settings: ModelSettings, folder: Path) -> None:
    """Write card.json and README.md, and prompts.json and label_policy.json where the card has them."""
    _write(card.model_dump(mode="json"), folder / CARD)
    (folder / README).write_text(readme(card, settings), encoding="utf-8")
    if card.prompts:
        _write({"prompts": card.prompts, "reviewed_by": card.prompts_reviewed_by}, folder / PROMPTS)
    if card.label_policy:
        _write({"source": card.label_source, "policy": card.label_policy}, folder / POLICY)


def read_card(folder: Path) -> ModelCard:
    """The card of a model's folder.

    Raises:
        UserError: it has none, or the file is none.
    """
    path = folder / CARD
    try:
        return ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; a model that mmclip saved has one") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a model's card; save the model again") from error


def readme(card: ModelCard, settings: ModelSettings) -> str:
    """README.md: the card for people, with the front matter that the hub reads."""
    text = settings.text.name if settings.text.kind == "pretrained" else settings.text.kind.replace("_", " ")
    codes = [LANGUAGES[code].iso for code in card.texts if code in LANGUAGES]
    front = ["---", "library_name: mmclip", "tags: [chest-radiograph, multilingual, image-text]", "license: other"]
    front += [f"language: [{', '.join(codes)}]"] if codes else []
    parts = [
        "\n".join([*front, "---"]),
        f"# {card.experiment or 'Model'}: a dual encoder of chest radiographs and reports",
        f"Image tower {settings.image.name} at {settings.image.size} px, text tower {text}, projection "
        f"{settings.projection}. Not a medical device; not for clinical use.",
        "```python\nfrom mmclip import DualEncoder\n"
        'model = DualEncoder.from_pretrained("this folder")\n'
        'model.zero_shot(pixels, {"Edema": ["Pulmonary edema."], "No Finding": ["Normal chest."]})'
        "  # uint8 [N, H, W]\n```",
        _section("Training", [*(f"- {name}: {value}" for name, value in card.training.items()), *card.notes]),
        _section("Data", [_data_line(one) for one in card.data]),
        _section("Languages", _languages(card)),
        _section("Labels", _labels(card)),
        _section("Measured", _metrics(card), "Nothing yet; `mmclip release` adds it."),
        _section("Licence lineage", _lineage(card)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: list[str], without: str = "Not stated.") -> str:
    return f"## {title}\n\n" + ("\n".join(lines).strip() if lines else without)


def _data_line(one: DataSet) -> str:
    return f"- {one.name} ({one.licence or 'licence not stated'})" + (f": {one.note}" if one.note else "")


def _languages(card: ModelCard) -> list[str]:
    lines = [f"- {LANGUAGES[code].name if code in LANGUAGES else code}: {n:,} texts" for code, n in card.texts.items()]
    if card.translated_by:
        lines.append(
            f"\nTexts in another language than the report's are translations by {', '.join(card.translated_by)} that "
            "no radiologist has reviewed."
        )
    unreviewed = [code for code in card.prompts if not card.prompts_reviewed_by.get(code)]
    if unreviewed:
        lines.append(f"\nPrompts in {len(unreviewed)} of {len(card.prompts)} languages are {UNREVIEWED}.")
    return lines


def _labels(card: ModelCard) -> list[str]:
    by_policy: dict[str, list[str]] = {}
    for observation, policy in card.label_policy.items():
        by_policy.setdefault(policy, []).append(observation)
    source = [f"- from: {card.label_source}"] if card.label_source else []
    return source + [f"- uncertain ones by {policy}: {', '.join(names)}" for policy, names in by_policy.items()]


def _metrics(card: ModelCard) -> list[str]:
    rows = card.metrics
    if not rows:
        return []
    measured = {row.dataset for row in rows}
    notes = [f"{one.name}: {one.note}." for one in card.data if one.note and one.name in measured]
    lines = [*notes, *([""] if notes else [])]
    lines += ["| data | task | language | metric | value | 95 % interval | n |", "|---|---|---|---|---|---|---|"]
    shown = _summary(rows)
    for row in shown:
        name = row.metric if row.k is None else f"{row.metric} {row.k}"
        task = f"{row.task} {row.direction}".strip()
        known = row.low is not None and row.high is not None
        between = f"{row.low:.3f} to {row.high:.3f} ({row.interval})" if known else ""
        where = f"{row.dataset} {row.split}"
        lines.append(f"| {where} | {task} | {row.language} | {name} | {row.value:.3f} | {between} | {row.n} |")
    more = len(rows) - len(shown)
    return lines + (["", f"{more} more rows, of the other languages, are in {CARD}."] if more else [])


def _summary(rows: Sequence[Measured]) -> list[Measured]:
    """The rows without those of languages other than English, where the mean of the languages stands for them."""

    def figure(row: Measured) -> tuple[str | int | None, ...]:
        return row.task, row.dataset, row.split, row.direction, row.metric, row.k

    averaged = {figure(row) for row in rows if row.language == "mean"}
    return [
        row for row in rows if row.language not in LANGUAGES or row.language == ENGLISH or figure(row) not in averaged
    ]


def _lineage(card: ModelCard) -> list[str]:
    origins = card.origins()
    lines = [f"- {one.role}: {one.name}, {one.licence or 'licence not stated'}" for one in origins]
    for one in origins:
        lines += [f"  - {one.name} forbids: {line}" for line in one.forbids]
    follows = consequences(origins)
    return lines + ([""] + [f"**{line[0].upper()}{line[1:]}.**" for line in follows] if follows else [])


def _write(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
