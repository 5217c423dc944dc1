"""Two processes are one: the same global batch gives the same weights."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from mmclip.training.classify_stage import predict_labels
from mmclip.training.distributed import (
    any_rank,
    global_mean,
    join_world,
    largest,
    sum_gradients,
    synchronise_norms,
    take_buffers_of_first,
    take_weights_of_first,
)
from mmclip.training.stage import pretrain
from mmclip.training.text_stage import pretrain_text
from tests.training.conftest import SmallData, experiment

NO_DROPOUT = {
    "kind": "scratch",
    "layers": 1,
    "width": 16,
    "heads": 2,
    "feedforward": 32,
    "max_tokens": 40,
    "dropout": 0.0,
}


def run(task: str, data: SmallData, root: Path) -> None:
    """Six steps; layer norms and no dropout, whose values a split of the batch does not change."""
    image = {"name": "test_convnext", "size": 32}
    changes: dict[str, Any] = {"model": {"image": image, "text": NO_DROPOUT, "projection": 8}, "classify": {"folds": 2}}
    optimisation = {"steps": 6, "batch_size": 13, "learning_rate": 1e-2}
    if task == "cached":
        optimisation["micro_batch"] = 3
    if task == "clip":
        changes["objectives"] = [{"name": "clip"}, {"name": "medclip", "weight": 0.5}]
        changes["sampling"] = "paired"
    settings = experiment(
        "align" if task in ("clip", "cached") else task,
        optimisation=optimisation,
        **changes,
    )
    common: dict[str, Any] = {"ingest": data.ingest, "output": root / task, "checkpoints": root / "checkpoints"}
    if task == "text":
        pretrain_text(settings, corpus=data.corpus, **common)
    elif task == "classify":
        predict_labels(settings, packs=data.packs, labels=data.labels, **common)
    else:
        pretrain(settings, packs=data.packs, corpus=data.corpus, targets=data.targets, **common)


CHILD = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from tests.training import test_distributed
from tests.training.conftest import SmallData
from mmclip.training.distributed import join_world
with join_world():
    test_distributed.check_sums()
    test_distributed.check_gradients()
    for task in {tasks!r}:
        test_distributed.run(task, {data!r}, Path({root!r}))
"""
TASKS = ("align", "clip", "cached", "text", "classify")


def check_sums() -> None:
    """Runs on both ranks: the global mean, its gradient, and flags."""
    with join_world() as world:
        values = torch.tensor([1.0, 2.0, 3.0] if world.rank == 0 else [10.0], requires_grad=True)
        mean = global_mean((values**2).sum(), len(values))
        assert float(mean.detach()) == pytest.approx((1 + 4 + 9 + 100) / 4)
        (gradient,) = torch.autograd.grad(mean, values)
        torch.testing.assert_close(gradient, 2 * values.detach() / 4)
        assert any_rank(world.rank == 1) and not any_rank(False) and largest(3 + world.rank) == 4


def check_gradients() -> None:
    """Runs on both ranks: gradients are summed, whoever has them; buffers and first weights are those of rank 0."""
    with join_world() as world:
        module = nn.ModuleDict({name: nn.BatchNorm1d(3) for name in ("both", "second", "none")})
        module["wide"] = nn.Linear(1, 9 << 20, bias=False)  # more than a bucket
        for parameter in module.parameters():
            nn.init.constant_(parameter, world.rank + 1.0)
        module["both"].running_mean += world.rank + 5
        take_weights_of_first(module)
        assert all(bool((parameter == 1).all()) for parameter in module.parameters())
        for name in ("both", "wide", *(["second"] if world.rank else [])):
            for parameter in module[name].parameters():
                parameter.grad = torch.full_like(parameter, 10.0**world.rank)
        sum_gradients(module)
        expected = {"both": 11.0, "second": 10.0, "wide": 11.0}
        for name, value in expected.items():
            assert all(bool((parameter.grad == value).all()) for parameter in module[name].parameters())
        assert all(parameter.grad is None for parameter in module["none"].parameters())
        module["both"].num_batches_tracked += 3 - world.rank
        take_buffers_of_first(module)
        assert bool((module["both"].running_mean == 5).all()) and int(module["both"].num_batches_tracked) == 3


@pytest.fixture(scope="module")
def outputs(small: SmallData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = CHILD.format(path=[str(Path(__file__).parents[2])], tasks=TASKS, data=small, root=str(two))
    script = script.replace("PosixPath", "Path")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=os.environ
            | {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for task in TASKS:
        run(task, small, one)
    for rank in ranks:
        error = rank.communicate(timeout=100)[1]
        assert rank.returncode == 0, error
    return one, two


@pytest.mark.parametrize("task", ["align", "clip", "cached", "text"])
def test_two_ranks_train_what_one_does(outputs: tuple[Path, Path], task: str) -> None:
    one, two = (load_file(root / task / "model" / "model.safetensors") for root in outputs)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-3, atol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
    curves = [(root / task / "training_curve.json").read_text() for root in outputs]
    rows = [[row for row in json.loads(curve) if "loss" in row] for curve in curves]
    for name in ("loss", "gradient_norm"):  # the norm, since Adam would hide a wrong scale of the gradient
        values = [[row[name] for row in curve] for curve in rows]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-3)


def test_two_ranks_predict_what_one_does(outputs: tuple[Path, Path]) -> None:
    one, two = (pl.read_parquet(root / "classify") for root in outputs)
    assert one["image_id"].equals(two["image_id"])
    for name in ("cardiomegaly", "edema"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-4)


def test_alone_there_is_nothing_to_join() -> None:
    with join_world() as world:
        assert (world.rank, world.size) == (0, 1)
    values = torch.tensor([1.0, 3.0])
    assert float(global_mean(values.sum(), 2)) == 2.0
    assert float(global_mean(torch.tensor(0.0), 0)) == 0.0


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_synchronised_norms_compute_the_same(name: str) -> None:
    """An EfficientNet's batch norms hold its activations."""
    tower = timm.create_model(name, num_classes=0).eval()
    synchronised = synchronise_norms(copy.deepcopy(tower)).eval()
    plain = [module for module in tower.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(plain) == sum(isinstance(module, nn.SyncBatchNorm) for module in synchronised.modules()) > 0
    assert synchronised.state_dict().keys() == tower.state_dict().keys()
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(synchronised(pixels), tower(pixels))
