"""The workflow fills defaults into configs by their schema, the commands by the models: both must mean the same."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from snakemake.utils import validate

from mmclip.config.base import load, parse
from mmclip.config.documents import read_settings
from mmclip.config.root import Config
from mmclip.config.training import ExperimentSettings
from mmclip.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [*sorted((ROOT / "config").glob("*.yaml")), ROOT / "tests/config/tiny.yaml"]
EXPERIMENTS = [
    file for folder in ("experiments", "demo", "study") for file in sorted((ROOT / "config" / folder).glob("*.yaml"))
]


def check(model: type[BaseModel], name: str, values: dict[str, Any]) -> BaseModel:
    """The settings of filled-in values, which must be those of the values as they were given."""
    filled = copy.deepcopy(values)
    validate(filled, str(ROOT / "workflow/schemas" / f"{name}.schema.json"))
    as_passed = json.loads(json.dumps(filled))  # as rules hand it to commands
    found = parse(model, as_passed)
    assert found == parse(model, values)
    return found


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_config(file: Path) -> None:
    check(Config, "config", read_settings(file))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_an_experiment(file: Path) -> None:
    check(ExperimentSettings, "experiment", read_settings(file))


@pytest.mark.parametrize("changes", [{"name": "paper"}, {"name": "none"}, {"name": "paper", "flip": False}, {}])
def test_the_sets_of_augmentation(changes: dict[str, Any]) -> None:
    values = {"task": "align", "objectives": [{"name": "clip"}], "data": {"augmentation": changes}}
    found = check(ExperimentSettings, "experiment", values)
    assert isinstance(found, ExperimentSettings)
    drawn = found.data.augmentation
    assert drawn.flip == (changes == {"name": "paper"})
    assert (drawn.rotate == 0) == (changes.get("name") == "none")
    assert (drawn.crop < 1) == (changes.get("name") == "paper")


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("datasets.phantom.sise", "kind, n, seed, size"),
        ("datasets.phantom.splits.trian", "train, val, test, salt"),
        ("evaluate.benchmarks.phantom.promts", "kind"),
        ("translate.engines.phrasebook.mode", "kind"),
        ("pack.siez", "size"),
    ],
)
def test_a_mistyped_key_is_told_what_there_is(key: str, known: str, tmp_path: Path) -> None:
    config = read_settings(ROOT / "config/config.yaml")
    inside = config
    *way, last = key.split(".")
    for part in way:
        inside = inside[part]
    inside[last] = 1
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"mine.yaml: unknown key '.*{re.escape(last)}'; known here: .*{known}"):
        load(Config, file)


def test_a_search_needs_the_images_of_a_benchmark() -> None:
    config = read_settings(ROOT / "config/config.yaml")
    config["evaluate"]["benchmarks"] = {}
    with pytest.raises(UserError, match=r"search\.dataset: 'phantom' has no benchmark, .* benchmarks: none"):
        parse(Config, config)
