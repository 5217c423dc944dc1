"""Two processes with unequal batches against one process with the whole batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmclip.ops import distributed

ROOT = Path(distributed.__file__).parents[2]

WORKER = """
import datetime, json, sys, warnings
import torch, torch.distributed as dist
from torch.nn.functional import normalize
from mmclip.ops import distributed, soft_contrastive_loss

warnings.simplefilter("ignore")
torch.set_num_threads(1)
rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2,
                        timeout=datetime.timedelta(seconds=60))
group = distributed.active_group()
assert group is not None
generator = torch.Generator().manual_seed(0)
x, y = (normalize(torch.randn(n, 6, generator=generator, dtype=torch.float64), dim=1) for n in (7, 9))
a, b = ((torch.rand(n, 3, generator=generator) < 0.5).double() for n in (7, 9))
ids = torch.tensor([0, 0, 1, 2, 2, 3, 4]), torch.tensor([2, 1, 0, 0, 4, 3, 3, 1, 2])
relation = torch.rand(5, 5, generator=generator) < 0.3
cases = {
    "labels": dict(label_scale=3.0),
    "ids": dict(targets="ids", groups=True),
    "excluded": dict(groups=True, excluded=relation),
    "identity": dict(targets="identity", square=True),
    "half": dict(half=True),
    "empty": dict(first=0),
}
worst = {}
for name, options in cases.items():
    options = dict(options)
    square, half, groups = (options.pop(key, False) for key in ("square", "half", "groups"))
    cut = (options.pop("first", 3), 3 if square else 5)
    all_y, all_b = (y[:7], b[:7]) if square else (y, b)
    if half:
        x_all, y_all = x.bfloat16(), all_y.bfloat16()
    else:
        x_all, y_all = x, all_y
    parts = [slice(None, cut[0]), slice(None, cut[1])] if rank == 0 else [slice(cut[0], None), slice(cut[1], None)]

    def run(rows, columns, **more):
        leaves = [x_all[rows].clone().requires_grad_(), y_all[columns].clone().requires_grad_(),
                  torch.tensor(8.0, dtype=torch.float64, requires_grad=True)]
        chosen = dict(row_group=ids[0][rows], column_group=ids[1][columns]) if groups else {}
        loss, floor = soft_contrastive_loss(leaves[0], leaves[1], a[rows], all_b[columns], leaves[2],
                                            return_floor=True, **chosen, **options, **more)
        return [loss.detach(), floor, *torch.autograd.grad(loss, leaves)]

    whole = run(slice(None), slice(None))
    mine = run(*parts, group=group)
    scale_gradient = mine[4].clone()
    dist.all_reduce(scale_gradient)
    expected = [whole[0], whole[1], whole[2][parts[0]], whole[3][parts[1]], whole[4]]
    got = [*mine[:4], scale_gradient]
    worst[name] = max(float((p.double() - q.double()).abs().max()) if p.numel() else 0.0
                      for p, q in zip(got, expected))
messages = []
for wrong in (dict(a=torch.ones(2, 2 + rank), b=torch.ones(2, 2 + rank)), dict(x=torch.ones(0, 4))):
    inputs = dict(x=torch.ones(2, 4), y=torch.ones(2, 4), a=torch.ones(2, 2), b=torch.ones(2, 2), logit_scale=1.0)
    inputs.update(wrong)
    inputs["a"] = inputs["a"][: len(inputs["x"])]
    try:
        soft_contrastive_loss(**inputs, group=group)
    except ValueError as error:
        messages.append(str(error))
with open(out, "w") as handle:
    json.dump({"worst": worst, "messages": messages}, handle)
del group  # who holds it keeps its threads, and a process must not end with those
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float] | list[str]]]:
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(folder / "store"), str(folder / f"{rank}.json")],
            env=environment,
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("case", ["labels", "ids", "excluded", "identity", "half", "empty"])
def test_two_processes_equal_one(ranks: list[dict[str, dict[str, float]]], case: str) -> None:
    for rank in ranks:
        assert rank["worst"][case] < (1e-6 if case == "half" else 1e-12)


def test_a_mistake_is_the_same_error_on_every_rank(ranks: list[dict[str, list[str]]]) -> None:
    assert ranks[0]["messages"] == ranks[1]["messages"]
    disagree, empty = ranks[0]["messages"]
    assert "[(4, 2), (4, 3)]" in disagree and "[0, 0] rows of x" in empty


def test_one_process_has_no_group() -> None:
    assert distributed.active_group() is None
