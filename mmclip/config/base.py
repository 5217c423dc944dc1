"""The base of every settings model, and checking a document against one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mmclip.config.documents import is_inline, read_settings
from mmclip.errors import UserError


class Settings(BaseModel):
    """Frozen, and strict about unknown keys: a typing mistake in a config is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=BaseModel)


def parse(model: type[S], values: Any, where: str = "settings") -> S:
    """Check `values` against a settings model.

    Raises:
        UserError: the first problem: its key, the value found, and what would be right.
    """
    try:
        return model.model_validate(values if values is not None else {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(top level)"
        if first["type"] == "extra_forbidden":
            raise UserError(
                f"{where}: unknown key {key!r}; known here: {', '.join(_fields(model, first['loc']))}"
            ) from error
        # of a rule about several keys the value is all of them, which the message has named already
        known = first["type"] == "missing" or isinstance(first["input"], dict)
        found = "" if known else f", found {first['input']!r}"
        raise UserError(f"{where}: {key}: {first['msg']}{found}") from error


def _fields(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields beside the unknown one at `location`, as far as the models tell."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ["see config/README.md"]
        model = annotation
    return list(model.model_fields)


def load(model: type[S], source: str | Path) -> S:
    """Settings from a YAML or JSON file (see :mod:`mmclip.config.documents`), or from inline JSON.

    Raises:
        UserError: the file cannot be read, or its first problem.
    """
    return parse(model, read_settings(source), "settings" if is_inline(source) else str(source))
