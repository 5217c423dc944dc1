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
    """The JSON schema (draft 2020-12) of a settings model."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def main(folder: Path) -> None:
    """Write every schema into `folder`."""
    for name, model in SCHEMAS.items():
        write_text(json.dumps(generate(model), indent=1) + "\n", folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
