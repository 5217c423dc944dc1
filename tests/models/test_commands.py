"""The commands that turn a model's folder into another form of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mmclip.cli import app
from mmclip.errors import UserError
from mmclip.models.card import read_card
from mmclip.models.dual_encoder import DualEncoder
from tests.models.golden import FOLDER
from tests.models.towers import TEXTS


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_export_and_import(tmp_path: Path) -> None:
    run("export", FOLDER, "--open-clip", "-o", tmp_path / "exported")
    run("import", tmp_path / "exported", "--open-clip", "-o", tmp_path / "back")
    ours, back = DualEncoder.from_pretrained(FOLDER), DualEncoder.from_pretrained(tmp_path / "back")
    assert torch.equal(back.encode_text(TEXTS), ours.encode_text(TEXTS))
    assert read_card(tmp_path / "back").experiment == "golden"


def test_convert_weights(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt")
    assert "tensors: 1" in run("convert-weights", tmp_path / "m.pt")
    assert (tmp_path / "m.safetensors").is_file()


def test_release(tmp_path: Path) -> None:
    output = run(
        "release", FOLDER, "-o", tmp_path / "out", "--translated-by", "nllb", "--reviewed", "eng_Latn=A. Reader"
    )
    assert "rows: 0" in output
    assert read_card(tmp_path / "out").prompts_reviewed_by == {"eng_Latn": "A. Reader"}
    with pytest.raises(UserError, match="--reviewed 'eng_Latn': expected LANGUAGE=NAME"):
        run("release", FOLDER, "-o", tmp_path / "out", "--reviewed", "eng_Latn")
