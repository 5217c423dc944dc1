"""Reading YAML and JSON documents of settings, some of which state only how they differ from another.

Needs no more than PyYAML: the Snakefile reads experiments with whatever Python runs Snakemake.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mmclip.errors import UserError

BASE = "base"
"""Key of a document's first line that names the file it differs from, relative to its own folder."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a repeated key is an error instead of silently winning."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)

# 5e-5 is a number in YAML 1.2 and in JSON; PyYAML follows 1.1, where it would need a dot.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(source: str | Path) -> Any:
    """Parse a YAML (or JSON) file, or the text itself where `source` starts with ``{``.

    Raises:
        UserError: the file is missing, or is not YAML; the line is named.
    """
    inline = is_inline(source)
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


def is_inline(source: str | Path) -> bool:
    """Whether `source` is itself a document, not a file's name."""
    return isinstance(source, str) and source.lstrip().startswith("{")


def read_settings(source: str | Path) -> Any:
    """A document, merged into the one that its key ``base`` names, if it has one.

    Mappings are merged key by key; everything else, lists too, replaces what the base has, and null takes it away, so
    that the default holds.

    Raises:
        UserError: a file is missing or is not YAML, or a base leads back to the document.
    """
    return read_yaml(source) if is_inline(source) else _merged(Path(source), ())


def _merged(file: Path, above: tuple[Path, ...]) -> Any:
    document = read_yaml(file)
    if not isinstance(document, dict) or BASE not in document:
        return document
    name, changes = document[BASE], {key: value for key, value in document.items() if key != BASE}
    base, chain = file.parent / str(name), (*above, file.resolve())
    if base.resolve() in chain:
        raise UserError(f"{file}: base: {name!r} leads back to a file that names it; remove one of the two")
    if not base.is_file():
        raise UserError(f"{file}: base: {str(base)!r} is not a file; it is named relative to the folder of {file.name}")
    return _merge(_merged(base, chain), changes)


def _merge(base: Any, changes: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    merged = base | {key: _merge(base.get(key), value) for key, value in changes.items()}
    return {key: value for key, value in merged.items() if value is not None or key not in changes}
