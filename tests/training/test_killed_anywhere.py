"""kill -9 at random moments, again and again, until the run is through: the result has the bits of a run left alone."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import signal
import socket
import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from mmclip.config.training import ExperimentSettings
from mmclip.training import loop
from mmclip.training.stage import pretrain
from mmclip.training.text_stage import pretrain_text
from tests.training.conftest import SmallData, experiment

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__])
"""Children start from a process that has imported everything, but has no threads yet."""

KILLS = 5


@dataclass(frozen=True)
class Case:
    """What is trained, by how many ranks, with how many workers, in micro-batches or not."""

    task: str
    workers: int
    ranks: int = 1
    micro_batch: int | None = None

    def settings(self) -> ExperimentSettings:
        """Everything that has a state or draws numbers: batch norm, dropout, augmentation, the average, Adam."""
        text = {**experiment("align").model.text.model_dump(), "dropout": 0.2}
        return experiment(
            self.task,
            model={"image": {"name": "test_resnet", "size": 32}, "text": text, "projection": 8},
            optimisation={"workers": self.workers, "micro_batch": self.micro_batch, "ema": 0.9, "steps": 24},
            saving={"every": 2} | ({"validate_every": 7} if self.task == "align" else {}),
        )


CASES = [
    pytest.param(Case("align", workers=0), id="no workers"),
    pytest.param(Case("align", workers=2, micro_batch=5), id="2 workers, micro-batches", marks=pytest.mark.slow),
    pytest.param(Case("align", workers=2, ranks=2, micro_batch=4), id="2 ranks, 2 workers, micro-batches"),
    pytest.param(Case("align", workers=2, ranks=2), id="2 ranks, 2 workers", marks=pytest.mark.slow),
    pytest.param(Case("text", workers=2), id="text, 2 workers", marks=pytest.mark.slow),
]


@dataclass(frozen=True)
class Moment:
    """When a process gets a signal: in its step of this number (from 1), or in what follows that step.

    Attributes:
        later: how much later than the start of the step, in times that the step before took.
    """

    step: int
    later: float
    by: int = signal.SIGKILL


def run(case: Case, data: SmallData, root: Path, moment: Moment | None, ranks: dict[str, str]) -> None:
    """Train in this process, which sends itself a signal at its moment."""
    logging.disable()
    os.environ.update(ranks)
    step, starts = loop._Trainer.step, [time.monotonic()]

    def step_and_die(trainer: loop._Trainer, batch: Any, number: int) -> Any:
        starts.append(time.monotonic())
        if moment is not None and len(starts) == moment.step + 1:
            delay = moment.later * (starts[-1] - starts[-2])
            timer = threading.Timer(delay, os.kill, (os.getpid(), moment.by))
            timer.daemon = True
            timer.start()
        return step(trainer, batch, number)

    loop._Trainer.step = step_and_die  # type: ignore[method-assign]
    common: dict[str, Any] = {"ingest": data.ingest, "output": root / "out", "checkpoints": root / "checkpoints"}
    if case.task == "text":
        pretrain_text(case.settings(), corpus=data.corpus, **common)
    else:
        pretrain(case.settings(), packs=data.packs, corpus=data.corpus, targets=data.targets, **common)


def start(case: Case, data: SmallData, root: Path, moment: Moment | None = None) -> list[int | None]:
    """Run all ranks to their end; the last rank is the one that gets the signal. Returns the exit codes."""
    root.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes: list[BaseProcess] = []
    for rank in range(case.ranks):
        names = {"RANK": str(rank), "WORLD_SIZE": str(case.ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        own = moment if rank == case.ranks - 1 else None
        processes.append(SERVER.Process(target=run, args=(case, data, root, own, names)))
        processes[-1].start()
    processes[-1].join(300)
    for process in processes:
        process.join(0.2 if processes[-1].exitcode == -signal.SIGKILL else 60)
        process.kill()  # as torchrun does when one of its processes is gone
        process.join()
    return [process.exitcode for process in processes]


@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_at_random_has_the_same_bits(case: Case, small: SmallData, tmp_path: Path) -> None:
    assert start(case, small, tmp_path / "whole") == [0] * case.ranks
    moments = random.Random(str(case))
    codes: list[int | None] = [-signal.SIGKILL]
    while codes[-1] == -signal.SIGKILL:
        moment = Moment(moments.randint(2, 6), moments.uniform(0, 1.5)) if len(codes) <= KILLS else None
        codes.append(start(case, small, tmp_path / "killed", moment)[-1])
    assert codes[-1] == 0, codes
    assert len(codes) > 3, "it was hardly ever killed"
    assert_same_bits(tmp_path / "whole", tmp_path / "killed")
    store = next((tmp_path / "killed/checkpoints").iterdir())
    named = {entry["folder"] for entry in json.loads((store / "manifest.json").read_text())["checkpoints"]}
    assert {folder.name for folder in store.glob("step-*")} == named, "what nobody names is removed"


def test_sigterm_to_one_rank_lets_all_save_and_leave(small: SmallData, tmp_path: Path) -> None:
    case = Case("align", workers=0, ranks=2, micro_batch=4)
    assert start(case, small, tmp_path / "whole") == [0, 0]
    assert start(case, small, tmp_path / "stopped", Moment(7, 0.6, signal.SIGTERM)) == [1, 1]
    assert list((tmp_path / "stopped").glob("checkpoints/*/manifest.json")) and not (tmp_path / "stopped/out").exists()
    assert start(case, small, tmp_path / "stopped") == [0, 0]
    assert_same_bits(tmp_path / "whole", tmp_path / "stopped")


def assert_same_bits(one: Path, two: Path) -> None:
    for name in ("model/model.safetensors", "training_curve.json"):
        assert (one / "out" / name).read_bytes() == (two / "out" / name).read_bytes(), name
