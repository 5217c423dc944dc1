"""docs/settings.md: every key of the config and of experiment files, from the pydantic models.

``python -m mmclip.config.reference docs/settings.md`` writes it; ``make schemas`` does so too.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mmclip.config.base import Settings
from mmclip.config.root import Config
from mmclip.config.training import ExperimentSettings
from mmclip.tables.files import write_text

Model = type[BaseModel]

INTRODUCTION = """# Every setting

This page is made from the models in `mmclip/config/` by `make schemas`; do not edit it. The [config's
page](../config/README.md) says how a config is put together and what its paths are relative to. A key without a default
must be given. `<name>` stands for a name of your choice. What the `settings` of an objective may hold stands in
[methods](methods.md#the-loss).
"""

PARTS: tuple[tuple[str, Model], ...] = (("The config of a run", Config), ("An experiment file", ExperimentSettings))

NAMES = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path", Any: "anything"}
LIMITS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
OF_KIND = " of kind "

LONGEST = 60
"""Characters of a default; a longer one is left to the code."""


@dataclass(frozen=True)
class Section:
    """One table: the heading, the model, and the key path that leads to it (empty at the top)."""

    heading: str
    model: Model
    path: str = ""

    @property
    def anchor(self) -> str:
        """The heading's anchor, as GitHub makes it."""
        return re.sub(r"[^\w\- ]", "", self.heading.lower()).replace(" ", "-")


@dataclass
class Sections:
    """The sections of a part by their model, in the order in which the keys come."""

    found: dict[Model, Section] = field(default_factory=dict)

    def add(self, section: Section) -> None:
        """A section and those of its keys; one of a model that is known already is the same."""
        if section.model in self.found:
            return
        self.found[section.model] = section
        for base in bases(section.model):
            self.add(Section(f"Shared: {_words(base)}", base, section.path))
        for name, key in own_fields(section.model):
            path = ".".join(filter(None, (section.path, name)))
            for model, below in _models(key.annotation, path):
                own, above = _kind(model), _kind(section.model)
                kind = f", kind `{own}`" if own else f"{OF_KIND}`{above}`" if above else ""
                self.add(Section(f"`{below}`{kind}", model, below))

    def shortened(self) -> dict[Model, Section]:
        """The sections; where no other is below the same key, without the kind that the key belongs to."""
        keys = [one.heading.split(OF_KIND)[0] for one in self.found.values()]
        return {
            model: replace(one, heading=key) if keys.count(key) == 1 else one
            for key, (model, one) in zip(keys, self.found.items(), strict=True)
        }


def page() -> str:
    """The whole page."""
    text = [INTRODUCTION]
    for title, model in PARTS:
        sections = Sections()
        sections.add(Section(title, model))
        known = sections.shortened()
        for number, section in enumerate(known.values()):
            text.append(f"{'##' if number == 0 else '###'} {section.heading}\n\n{_escaped(_doc(section.model))}\n")
            text.append(_table(section.model, known))
    return "\n".join(text)


def undescribed(model: Model) -> list[str]:
    """``Model.key`` of every key below `model` of which nobody says what it means."""
    sections = Sections()
    sections.add(Section("", model))
    return [f"{one.__name__}.{name}" for one in sections.found for name, key in own_fields(one) if not _meaning(key)]


def own_fields(model: Model) -> Iterator[tuple[str, FieldInfo]]:
    """The keys that a model adds to those of the models it derives from, or changes."""
    for name, key in model.model_fields.items():
        left_to_others = name == "kind" and key.annotation is str
        if name in inspect.get_annotations(model) and not left_to_others:
            yield key.alias or name, key


def bases(model: Model) -> list[Model]:
    """The models whose keys a model has beside its own."""
    return [base for base in model.__mro__[1:] if issubclass(base, Settings) and base is not Settings]


def _models(annotation: Any, path: str) -> Iterator[tuple[Model, str]]:
    """The models that a key's value may be of, with the key paths below which their keys stand."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation, path
        return
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        yield from _models(arguments[1], f"{path}.<name>")
    elif get_origin(annotation) is tuple:
        yield from _models(arguments[0], f"{path}[]")
    elif get_origin(annotation) is not Literal:
        for argument in arguments:
            yield from _models(argument, path)


def _table(model: Model, known: dict[Model, Section]) -> str:
    rows = ["| key | what it may be | default | meaning |", "|---|---|---|---|"]
    for name, key in own_fields(model):
        cells = [
            f"`{name}`",
            _type(key.annotation, known) + _limits(key),
            _default(key),
            _escaped(_meaning(key)),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    also = ", ".join(_link(known[base]) for base in bases(model))
    below = [f"Also the keys of: {also}.\n"] if also else []
    return "\n".join([*(rows if len(rows) > 2 else []), "", *below])


def _type(annotation: Any, known: dict[Model, Section]) -> str:
    """A type in words, with links to the models' sections."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return _link(known[annotation])
    if annotation in NAMES:
        return NAMES[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(value) if isinstance(value, bool) else value}`" for value in arguments)
    if origin is Annotated:
        return _type(arguments[0], known)
    if origin in (Union, UnionType):
        words = [_type(one, known) for one in arguments if one is not NoneType]
        if all(map(_kind, arguments)):
            words = [f"[`{_kind(one)}`](#{known[one].anchor})" for one in arguments]
        return " or ".join([*words, *(["nothing"] if NoneType in arguments else [])])
    if origin is dict:
        return f"name → {_type(arguments[1], known)}"
    if origin is list or arguments[-1] is Ellipsis:
        return f"list of {_type(arguments[0], known)}"
    return f"[{', '.join(_type(one, known) for one in arguments)}]"


def _limits(key: FieldInfo) -> str:
    """The bounds of a number."""
    values = {name: getattr(one, name) for one in key.metadata for name, _ in LIMITS if hasattr(one, name)}
    return "".join(f", {sign} {values[name]:g}" for name, sign in LIMITS if name in values)


def _default(key: FieldInfo) -> str:
    if key.is_required():
        return ""
    value = key.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as there"
    if value is None or value == "":
        return "nothing"
    if isinstance(value, str | Path):
        return f"`{value}`"
    if isinstance(value, tuple | dict) and not value:
        return "none"
    text = f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)
    return f"`{text}`" if len(text) <= LONGEST else f"{len(value)} entries"


def _meaning(key: FieldInfo) -> str:
    """The key's description; of a section the first sentence of its model, and of a kind that it is one."""
    if key.description:
        return key.description
    if get_origin(key.annotation) is Literal and len(get_args(key.annotation)) == 1:
        return "chooses this form"
    models = [model for model, _ in _models(key.annotation, "")]
    return _words(models[0]) if len(models) == 1 else ""


def _doc(model: Model) -> str:
    """A model's docstring as one line of Markdown."""
    text = " ".join(inspect.cleandoc(model.__doc__ or "").split())
    return re.sub(r"``(.+?)``", r"`\1`", re.sub(r":mod:`(.+?)`", r"`\1`", text))


def _escaped(text: str) -> str:
    """Text such that Markdown takes no `<name>` for HTML and no bar for a cell's end, outside of code."""
    parts = text.replace("|", "/").split("`")
    return "`".join(part if number % 2 else part.replace("<", "\\<") for number, part in enumerate(parts))


def _words(model: Model) -> str:
    """The first sentence of a model's docstring, up to a colon or semicolon."""
    return re.split(r"[.:;] (?=[a-z`A-Z])|\.$", _doc(model))[0]


def _kind(model: Any) -> str | None:
    """The one value of a model's key `kind`, where values of several models may stand."""
    key = model.model_fields.get("kind") if hasattr(model, "model_fields") else None
    values = get_args(key.annotation) if key is not None else ()
    return str(values[0]) if len(values) == 1 else None


def _link(section: Section) -> str:
    return f"[{section.heading}](#{section.anchor})"


if __name__ == "__main__":
    write_text(page(), Path(sys.argv[1]))
