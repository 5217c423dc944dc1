"""JSON schemas of the config and of experiment files, generated from the pydantic models.

``python -m mmclip.config.schema workflow/schemas`` writes them; Snakemake checks configs with them and fills in
defaults, so that the workflow and the commands agree on every value.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mmclip.config.root import Config
from mmclip.config.training import ExperimentSettings
from mmclip.tables.files import write_text

SCHEMAS: dict[str, type[BaseModel]] = {
    "config.schema.json": Config,
    "experiment.schema.json": ExperimentSettings,
}


def generate(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a settings model, in a form in which defaults can be filled in."""
    schema: dict[str, Any] = _fillable(model.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _fillable(node: Any) -> Any:
    """The same schema, such that no alternative is looked at that does not apply: defaults would be filled in there.

    A union told apart by a key becomes one `if` for each value, and null goes first among alternatives.
    """
    if isinstance(node, list):
        return [_fillable(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _fillable(value) for key, value in node.items()}
    if "discriminator" in node:
        key, schemas = node["discriminator"]["propertyName"], node["discriminator"]["mapping"]
        rest = {name: value for name, value in node.items() if name not in ("discriminator", "oneOf")}
        choices = [
            {"if": {"properties": {key: {"const": value}}}, "then": {"$ref": reference}}
            for value, reference in schemas.items()
        ]
        return {
            **rest,
            "type": "object",
            "required": [key],
            "properties": {key: {"enum": list(schemas)}},
            "allOf": choices,
        }
    if "anyOf" in node:
        node["anyOf"] = sorted(node["anyOf"], key=lambda choice: choice != {"type": "null"})
    return node


def main(folder: Path) -> None:
    """Write every schema into `folder`."""
    for name, model in SCHEMAS.items():
        write_text(json.dumps(generate(model), indent=1) + "\n", folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
