"""What ``mmclip doctor`` says of pretrained weights."""

from pathlib import Path

import pytest
import timm
from typer.testing import CliRunner

from mmclip.commands.machine import app
from mmclip.config.base import load
from mmclip.config.training import ExperimentSettings
from mmclip.config.translation import NLLB_SIZES
from mmclip.doctor import WEIGHTS, examine
from mmclip.provenance import ROOT


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    return tmp_path / "hub"


def weights() -> dict[str, tuple[str, str]]:
    return {finding.topic: (finding.state, finding.text) for finding in examine() if finding.topic in WEIGHTS}


def test_every_size_of_nllb_with_its_licence_and_how_to_get_it(cache: Path) -> None:
    found = weights()
    assert len(NLLB_SIZES) == 4 and set(NLLB_SIZES) <= set(found)
    for name in NLLB_SIZES:
        state, text = found[name]
        assert state == "note"
        for part in (f"not in {cache}", "CC-BY-NC", "not meant for medical text", f"`mmclip fetch {name}`"):
            assert part in text


def test_weights_are_there_if_they_are_safetensors(cache: Path) -> None:
    for name, file in zip(NLLB_SIZES, ("model.safetensors", "pytorch_model.bin"), strict=False):
        snapshot = cache / f"models--{name.replace('/', '--')}" / "snapshots" / "main"
        snapshot.mkdir(parents=True)
        (snapshot / file).touch()
    found = weights()
    assert found[NLLB_SIZES[0]][0] == "ok"
    assert found[NLLB_SIZES[1]][0] == "note" and "no .safetensors file in" in found[NLLB_SIZES[1]][1]


def test_the_weights_of_every_shipped_experiment_are_looked_for() -> None:
    for file in sorted((ROOT / "config/experiments").glob("*.yaml")):
        model = load(ExperimentSettings, file).model
        if model.image.pretrained:
            assert timm.get_pretrained_cfg(model.image.name).hf_hub_id in WEIGHTS, file.name
        if model.text.kind == "pretrained":
            assert model.text.name in WEIGHTS, file.name


def test_through_the_command(cache: Path) -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.output
    assert all(name in done.output for name in WEIGHTS)
