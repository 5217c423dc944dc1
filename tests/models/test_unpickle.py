"""Checkpoints of others: tensors and configuration come out, code never runs."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmclip.errors import UserError
from mmclip.models.unpickle import convert_weights

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.int64)}


def saved(content: Any, path: Path, **more: Any) -> Path:
    torch.save(content, path, **more)
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", [None, "model", "state_dict"])
def test_tensors_come_out(tmp_path: Path, wrap: str | None, zipped: bool) -> None:
    content = TENSORS if wrap is None else {wrap: TENSORS, "epoch": 3}
    path = saved(content, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    result = convert_weights(path)
    assert result == {"files": [str(tmp_path / "model.safetensors")], "tensors": 2}
    out = load_file(tmp_path / "model.safetensors")
    assert out.keys() == TENSORS.keys() and all(torch.equal(out[name], TENSORS[name]) for name in out)


def test_a_training_checkpoint_gives_its_configuration_too(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}
    config = {"model": {"text_encoder": {"pooling": "eos"}}}
    path = saved({"model": state, "optimizer": optimizer, "config": config, "epoch": 1}, tmp_path / "r50_m.tar")
    assert convert_weights(path)["files"] == [str(tmp_path / "r50_m.safetensors"), str(tmp_path / "r50_m.json")]
    assert load_file(tmp_path / "r50_m.safetensors").keys() == TENSORS.keys()
    assert json.loads((tmp_path / "r50_m.json").read_text()) == config


def test_tied_and_strided_tensors_are_written_out(tmp_path: Path) -> None:
    tied = torch.ones(3, 2)
    path = saved({"one": tied, "two": tied, "turned": tied.T}, tmp_path / "m.pt")
    convert_weights(path, tmp_path / "out.safetensors")
    out = load_file(tmp_path / "out.safetensors")
    assert torch.equal(out["one"], out["two"]) and out["turned"].shape == (2, 3)


def test_code_in_a_pickle_never_runs(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(touched).encode() + b"'\ntR.")
    with pytest.raises(UserError, match="cannot be read as weights alone") as error:
        convert_weights(path)
    assert "\n" not in str(error.value)
    assert not touched.exists() and not (tmp_path / "model.safetensors").exists()
    with pytest.raises(UserError, match="cannot be read as weights alone"):
        convert_weights(saved({"model": TENSORS, "args": Namespace(lr=1)}, tmp_path / "args.pt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [([1, 2], "holds no named tensors"), ({"epoch": 3}, "holds no named tensors"), (None, "no such file")],
)
def test_what_holds_no_weights_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "m.pt"
    if content is not None:
        saved(content, path)
    with pytest.raises(UserError, match=message):
        convert_weights(path)


def test_the_output_is_another_file_of_its_kind(tmp_path: Path) -> None:
    path = saved(TENSORS, tmp_path / "m.pt")
    with pytest.raises(UserError, match=r"must end in \.safetensors"):
        convert_weights(path, tmp_path / "out.bin")
