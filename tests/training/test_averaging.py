"""The moving average of the weights: its formula, where it counts, and what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mmclip.training.averaging import Average
from mmclip.training.stage import pretrain
from tests.training.conftest import SmallData, experiment


def test_the_average_is_the_formula_s() -> None:
    module = nn.BatchNorm1d(3).double()
    average = Average(module, 0.8)
    expected = {name: value.clone() for name, value in module.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for step in range(1, 60):
        with torch.no_grad():
            for value in (*module.parameters(), module.running_mean):
                assert value is not None
                value.copy_(torch.randn(3, generator=generator, dtype=torch.float64))
            assert module.num_batches_tracked is not None
            module.num_batches_tracked += 1
        average.update(step)
        share = 1 - min(0.8, step / (step + 9))
        for name, value in module.state_dict().items():
            expected[name] = (
                share * value + (1 - share) * expected[name] if value.is_floating_point() else value.clone()
            )
    for name, value in expected.items():
        torch.testing.assert_close(average.tensors[name], value, rtol=1e-12, atol=1e-12)
    assert int(average.tensors["num_batches_tracked"]) == 59


def test_the_module_has_the_average_for_a_while() -> None:
    module = nn.Linear(2, 2)
    average = Average(module, 0.9)
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    optimised = module.weight
    with pytest.raises(KeyError), average.in_place():
        assert torch.equal(module.weight, before) and module.weight is optimised
        raise KeyError
    assert torch.equal(module.weight, before + 1) and torch.equal(average.tensors["weight"], before)


def test_the_saved_model_is_the_average_and_is_what_was_validated(small: SmallData, tmp_path: Path) -> None:
    found = {}
    for ema in (0.0, 0.9):
        root = tmp_path / str(ema)
        settings = experiment("align", optimisation={"ema": ema})
        files = {"packs": small.packs, "corpus": small.corpus, "targets": small.targets, "ingest": small.ingest}
        pretrain(settings, output=root / "out", checkpoints=root / "checkpoints", **files)  # type: ignore[arg-type]
        step = next((root / "checkpoints").glob("*/step-000000020"))
        assert (step / "average.safetensors").exists() == bool(ema)
        curve = json.loads((root / "out/training_curve.json").read_text())
        found[ema] = load_file(root / "out/model/model.safetensors"), load_file(step / "model.safetensors"), curve, step
    plain, averaged = found[0.0], found[0.9]
    assert all(torch.equal(value, averaged[1][name]) for name, value in plain[1].items()), "training is not changed"
    average = load_file(averaged[3] / "average.safetensors")
    for name, value in averaged[0].items():
        assert torch.equal(value, average[f"model.{name}"])
    assert any(not torch.equal(value, plain[0][name]) for name, value in averaged[0].items())
    assert [row for row in plain[2] if "loss" in row] == [row for row in averaged[2] if "loss" in row]
    assert plain[2][-1] != averaged[2][-1] and "val/three_m_clip_loss" in plain[2][-1]
