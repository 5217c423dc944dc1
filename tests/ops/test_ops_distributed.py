"""The loss of two and of four processes against that of one, gathering and in a ring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mmclip.ops import build, distributed
from tests.conftest import NEEDS, require
from tests.ops.rank_cases import CASES, FORMS, TARGETS, WRONG

ROOT = Path(distributed.__file__).parents[2]
RANKS = (2, 4)
ROWS, D = 48, 64  # of each rank where the cost is measured

Found = list[dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Found]:
    """What each process of two, and each of four, found: tests/ops/rank_cases.py."""
    if NEEDS["compiler"]() is None:
        build.build()
    return {ranks: run_ranks(ranks, tmp_path_factory.mktemp("ranks"), "gloo") for ranks in RANKS}


def run_ranks(ranks: int, folder: Path, backend: str) -> Found:
    """What each of some processes found."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.ops.rank_cases", str(rank), str(ranks), str(folder), backend],
            cwd=ROOT,
            env=environment,
        )
        for rank in range(ranks)
    ]
    try:
        assert [process.wait(timeout=400) for process in processes] == [0] * ranks
    finally:
        for process in processes:
            process.kill()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("case", CASES)
def test_many_processes_equal_one(found: dict[int, Found], ranks: int, form: str, case: str) -> None:
    if CASES[case].backend == "fused":
        require("compiler")
    assert_equal_to_one(found[ranks], form, case)


def assert_equal_to_one(found: Found, form: str, case: str) -> None:
    """To rounding, in the type of x."""
    value, gradient = {
        torch.float64: (1e-12, 1e-12),
        torch.float32: (1e-6, 1e-6),
        torch.bfloat16: (1e-6, 4e-3),  # the gradient is rounded to its type, half a unit of which is 2e-3
    }[CASES[case].dtype]
    for rank in found:
        for what, error in zip(("loss", "floor", "x", "y", "logit scale"), rank["errors"][form][case], strict=True):
            assert error < (gradient if what in "xy" else value), what


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ranks", RANKS)
def test_what_is_no_number_is_none_on_any_rank(found: dict[int, Found], ranks: int, form: str) -> None:
    assert all(all(rank["nan"][form]) for rank in found[ranks])


@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_the_same_error_on_every_rank(found: dict[int, Found], ranks: int, mistake: str) -> None:
    expected = {
        "D": "disagree about D: [4, 5",
        "L": "disagree about L: [2, 3",
        "type": "disagree about the type of x and y: [torch.float32, torch.float64",
        "label type": "disagree about the type of a: [torch.float32, torch.uint8",
        "label_scale": "disagree about label_scale: [1.0, 2.0",
        "targets": "disagree about targets: ['labels', 'identity'",
        "similarity": "disagree about whether the similarity is the cosine: [True, False",
        "floor": "disagree about return_floor: [True, False",
        "gradient": "disagree about whether a gradient is wanted: [True, False",
        "relation": "disagree about the groups of excluded: [3, 4",
        "empty": f"the ranks hold {[0] * ranks} rows of x and {[2] * ranks} of y",
        "nothing in common": "no id of row_group occurs in column_group",
        "one rank refuses": "rank 1: x [2, 5] and y [2, 4]",
        "one rank has no number": "rank 1: logit_scale=nan",
    }
    said = {rank["messages"][mistake] for rank in found[ranks]}
    assert len(said) == 1 and expected[mistake] in said.pop()


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("ranks", RANKS)
def test_no_rank_of_a_ring_holds_what_all_hold(found: dict[int, Found], ranks: int, targets: str) -> None:
    for rank in found[ranks]:
        assert rank["cost"]["ring"][targets]["largest"] == ROWS * D
        assert rank["cost"]["gathered"][targets]["largest"] == ranks * ROWS * D


@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("ranks", RANKS)
def test_messages_are_those_documented(found: dict[int, Found], ranks: int, targets: str) -> None:
    ids = 2 if targets == "ids" else 0
    labels = 2 if "labels" in targets else 0
    counted = 0 if labels else 1  # every row of labels counts
    for rank in found[ranks]:
        gathered, ring = rank["cost"]["gathered"][targets], rank["cost"]["ring"][targets]
        assert gathered["forward"] == {"all_gather": 4 + ids + labels, "all_reduce": 3 + counted}
        assert gathered["backward"] == {"all_to_all_single": 1}
        assert ring["forward"] == {"all_gather": 1 + ids, "all_reduce": 1 + counted, "batch_isend_irecv": 2 * ranks - 1}
        assert ring["backward"] == {"batch_isend_irecv": 2 * ranks - 1}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ranks", RANKS)
def test_backward_repeats_bit_for_bit(found: dict[int, Found], ranks: int, form: str) -> None:
    assert all(targets["again"] for rank in found[ranks] for targets in rank["cost"][form].values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_with_nccl(tmp_path: Path) -> None:
    """As many ranks as there are GPUs for; one GPU tests all but what passes between two."""
    found = run_ranks(max(ranks for ranks in (1, *RANKS) if ranks <= torch.cuda.device_count()), tmp_path, "nccl")
    for form in FORMS:
        for case in found[0]["errors"][form]:
            assert_equal_to_one(found, form, case)


def test_one_process_has_no_group() -> None:
    assert distributed.active_group() is None
