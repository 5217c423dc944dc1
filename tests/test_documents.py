"""Documents of settings that differ from another."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mmclip.config.base import load
from mmclip.config.documents import read_settings, read_yaml
from mmclip.config.training import ExperimentSettings
from mmclip.errors import UserError

FILES = sorted(file for file in Path(__file__).parents[1].glob("config/*/*.yaml") if file.parent.name != "prompts")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_document_changes_its_base(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", "a: {x: 1, y: {z: 2}}\nlist: [1, 2, 3]\nkept: true\n")
    write(tmp_path / "two.yaml", "base: one.yaml\na: {y: {w: 5}}\nlist: [9]\n")
    three = write(tmp_path / "below/three.yaml", "base: ../two.yaml\na: {x: null}\n")
    assert read_settings(three) == {"a": {"y": {"z": 2, "w": 5}}, "list": [9], "kept": True}


def test_without_a_base_it_is_what_it_says(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path / "one.yaml", "a: 1\n")) == {"a": 1}
    assert read_settings(write(tmp_path / "list.yaml", "[1, 2]\n")) == [1, 2]
    assert read_settings('{"a": {"base": 1}}') == {"a": {"base": 1}}


def test_a_circle_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", "base: two.yaml\n")
    two = write(tmp_path / "two.yaml", "base: one.yaml\n")
    with pytest.raises(UserError, match=r"one\.yaml: base: 'two\.yaml' leads back"):
        read_settings(two)
    with pytest.raises(UserError, match="leads back"):
        read_settings(write(tmp_path / "self.yaml", "base: self.yaml\n"))


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one\.yaml: base: .*none\.yaml' is not a file; .*relative to the folder"):
        read_settings(write(tmp_path / "one.yaml", "base: none.yaml\n"))


def test_a_repeated_key_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="key 'a' occurs twice"):
        read_yaml(write(tmp_path / "one.yaml", "a: 1\na: 2\n"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_experiment_that_is_delivered_can_be_read(file: Path) -> None:
    settings = load(ExperimentSettings, file)
    assert settings.task in ("align", "classify", "text")


def test_no_more_than_yaml() -> None:
    """The Snakefile imports the module with whatever Python runs Snakemake."""
    code = (
        "import sys; before = set(sys.modules); import mmclip.config.documents; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'mmclip'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = ast.literal_eval(done.stdout)
    assert {name for name in loaded if "cython" not in name} <= {"yaml", "_yaml"}, loaded


@pytest.mark.parametrize(("text", "value"), [("5e-5", 5e-5), ("1e-12", 1e-12), ("-2E3", -2000.0), ("1.0e-3", 1e-3)])
def test_exponents_are_numbers(text: str, value: float) -> None:
    assert read_yaml(f"{{a: {text}}}") == {"a": value}


@pytest.mark.parametrize("text", ["e5", "1e", "5e-5x", "'5e-5'", "1e5 images"])
def test_what_only_looks_like_an_exponent_is_text(text: str) -> None:
    assert read_yaml(f"{{a: {text}}}") == {"a": text.strip("'")}
