"""The base of every settings model, and reading one from YAML or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mmclip.errors import UserError


class Settings(BaseModel):
    """Frozen, and strict about unknown keys: a typing mistake in a config is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a repeated key is an error instead of silently winning."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(source: str | Path) -> Any:
    """Parse a YAML (or JSON) file, or the text itself where `source` starts with ``{``.

    Raises:
        UserError: the file is missing, or is not YAML; the line is named.
    """
    inline = isinstance(source, str) and source.lstrip().startswith("{")
    name = "settings" if inline else str(source)
    try:
        text = str(source) if inline else Path(source).read_text(encoding="utf-8")
        return yaml.load(text, Loader=_UniqueKeyLoader)
    except FileNotFoundError as error:
        raise UserError(f"{name}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error


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
        found = "" if first["type"] == "missing" else f", found {first['input']!r}"
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
    """Settings from a YAML or JSON file, or from inline JSON."""
    inline = isinstance(source, str) and source.lstrip().startswith("{")
    return parse(model, read_yaml(source), "settings" if inline else str(source))
