"""The base of every settings model, and checking a document against one."""

from __future__ import annotations

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from mmclip.config.documents import is_inline, read_settings
from mmclip.errors import UserError


class Settings(BaseModel):
    """Frozen, and strict about unknown keys: a typing mistake in a config is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=BaseModel)


def left_out(schema: dict[str, Any]) -> None:
    """As `json_schema_extra` of a field: the workflow does not fill in its default, so that the model sees it is not
    given."""
    schema.pop("default", None)


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
    inside: Any = model
    for part in location[:-1]:
        inside = _inside(inside, part)
    return list(inside.model_fields)


def _inside(annotation: Any, part: int | str) -> Any:
    """The type of what lies at `part` in a value of a type; of a union told apart by its kind, the member named so."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _bare(annotation.model_fields[str(part)].annotation)
    *_, last = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return next(
            one for one in map(_bare, get_args(annotation)) if part in get_args(one.model_fields["kind"].annotation)
        )
    return _bare(get_args(annotation)[0] if last is Ellipsis else last)


def _bare(annotation: Any) -> Any:
    """A type without its notes, and of a type or None the type."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    choices = [member for member in get_args(annotation) if member is not NoneType]
    return _bare(choices[0]) if get_origin(annotation) in (Union, UnionType) and len(choices) == 1 else annotation


def load(model: type[S], source: str | Path) -> S:
    """Settings from a YAML or JSON file (see :mod:`mmclip.config.documents`), or from inline JSON.

    Raises:
        UserError: the file cannot be read, or its first problem.
    """
    return parse(model, read_settings(source), "settings" if is_inline(source) else str(source))
