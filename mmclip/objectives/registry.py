"""Objectives by name. Only the named module is imported, so that an edit to one objective reruns only the experiments
that use it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from mmclip.errors import UserError
from mmclip.objectives.protocol import Objective

_CLASSES = {"clip": "Clip", "medclip": "MedClip", "three_m_clip": "ThreeMClip"}

NAMES: tuple[str, ...] = tuple(_CLASSES)
"""The objectives there are; each is the module of that name in `mmclip.objectives`."""


def create(name: str, settings: Mapping[str, Any]) -> Objective:
    """The objective called `name`, with its settings checked.

    Raises:
        UserError: there is no such objective, or a setting is unknown or out of range.
    """
    objective: type[Objective] = getattr(importlib.import_module(_module(name)), _CLASSES[name])
    try:
        return objective(objective.Settings.model_validate(dict(settings)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        known = ", ".join(objective.Settings.model_fields) or "it has none"
        raise UserError(f"objective {name}: {key}: {first['msg']}, got {first['input']!r}; settings: {known}") from None


def modules(names: Iterable[str]) -> list[str]:
    """The modules of the named objectives, sorted, for the digest of an experiment's code.

    Raises:
        UserError: a name is unknown.
    """
    return sorted({_module(name) for name in names})


def _module(name: str) -> str:
    if name not in _CLASSES:
        raise UserError(f"objective {name!r}: unknown; known are {', '.join(NAMES)}")
    return f"mmclip.objectives.{name}"
