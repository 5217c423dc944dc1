"""The workflow survives what happens to it: kills at any moment, a second run at once, a full disk while training."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmclip.config.base import load
from mmclip.config.training import ExperimentSettings
from mmclip.lifeline import CONTROLLER
from mmclip.liveness import controller as own_identity
from mmclip.liveness import process_start
from tests.workflow.tiny import RESULTS, command, environment, leftovers, run, steady_files

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.xdist_group("workflow")]

PATIENCE = 600.0
"""Seconds until a stage must have begun; the machine may be busy."""

ORPHANS = 30.0
"""Seconds in which every job of a dead controller must be gone: one until it notices, and its grace at most."""


class Run:
    """``mmclip run`` of the tiny config, in a process group of its own."""

    def __init__(self, directory: Path, checkout: Path) -> None:
        self.directory = directory
        self.log = directory.with_name(f"{directory.name}.log").open("a")
        self.process = subprocess.Popen(
            command(directory, "--quiet", "rules", checkout=checkout),
            cwd=checkout,
            env=environment(),
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        host = own_identity().split(":")[0]
        self.identity = f"{host}:{self.process.pid}:{process_start(self.process.pid)}"

    def jobs(self) -> dict[int, str]:
        """Living processes that this run started, directly or not -> their mmclip command, "" for others."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                try:
                    variables = (folder / "environ").read_bytes().split(b"\0")
                    words = (folder / "cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                mine = f"{CONTROLLER}={self.identity}".encode() in variables
                if mine and process_start(int(folder.name)):
                    found[int(folder.name)] = words[3] if words[1:3] == ["-m", "mmclip"] else ""
        return found

    def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until something is so; the run must not end before."""
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, f"it ended too early: {Path(self.log.name).read_text()[-3000:]}"
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def kill(self, whole_group: bool) -> None:
        """SIGKILL to the controller alone or to everything; then no job may be left within seconds."""
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        assert self.process.wait() == -signal.SIGKILL
        self.log.close()

    def wait_for_orphans(self) -> float:
        """Seconds until the last job is gone."""
        start = time.monotonic()
        while self.jobs():
            assert time.monotonic() - start < ORPHANS, self.jobs()
            time.sleep(0.05)
        return time.monotonic() - start


KILLS: list[tuple[str, bool, float]] = [
    ("ingest", True, 1.5),
    ("pack", False, 1.0),
    ("translate-shard", True, 1.0),
    ("filter-shard", False, 2.0),
    ("predict-labels", True, 6.0),
    ("pretrain-text", False, 6.0),
    ("pretrain", True, 6.0),
    ("evaluate", False, 6.0),
    ("report", True, 2.0),
]
"""The stage in whose job the kill falls, whether it takes the whole process group, and up to how long into the job."""


def test_killed_in_every_stage(tiny_run: Path, frozen: Path, tmp_path: Path) -> None:
    """Killed nine times, run again each time without waiting for orphans: the same results as an undisturbed run."""
    directory, moments = tmp_path / "run", random.Random(20)
    earlier: list[Run] = []
    for stage, whole_group, longest in KILLS:
        running = Run(directory, frozen)
        running.wait_for(lambda running=running, stage=stage: stage in running.jobs().values())  # type: ignore[misc]
        time.sleep(moments.uniform(0, longest))
        running.kill(whole_group)
        earlier.append(running)
    for running in earlier:
        running.wait_for_orphans()
    check_rerun(directory, frozen, tiny_run)


@pytest.mark.parametrize("whole_group", [False, True])
def test_killed_between_checkpoints(tiny_run: Path, frozen: Path, tmp_path: Path, whole_group: bool) -> None:
    """Killed just after a checkpoint: training goes on from there, to the same weights."""
    directory = copy_without(tiny_run, "three_m_clip", tmp_path)
    running = Run(directory, frozen)
    running.wait_for(lambda: any((directory / RESULTS / "checkpoints/three_m_clip").glob("*/manifest.json")))
    running.kill(whole_group)
    assert running.wait_for_orphans() < ORPHANS
    check_rerun(directory, frozen, tiny_run)


def test_orphans_are_gone_before_they_write(tiny_run: Path, frozen: Path, tmp_path: Path) -> None:
    """The controller alone is killed while training starts: its job ends and leaves no output."""
    directory = copy_without(tiny_run, "clip", tmp_path)
    running = Run(directory, frozen)
    running.wait_for(lambda: "pretrain" in running.jobs().values())
    running.kill(whole_group=False)
    seconds = running.wait_for_orphans()
    assert seconds < 10, "it notices within a second, and is not yet training"
    assert not (directory / RESULTS / "pretrain/clip").exists()
    check_rerun(directory, frozen, tiny_run)


def copy_without(finished: Path, experiment: str, folder: Path) -> Path:
    """A copy of a finished run in which an experiment has yet to be trained."""
    directory = folder / "run"
    shutil.copytree(finished, directory)
    for name in ("pretrain", "checkpoints", "evaluate"):
        shutil.rmtree(directory / RESULTS / name / experiment)
    (directory / RESULTS / "report/report.html").unlink()
    return directory


def check_rerun(directory: Path, checkout: Path, undisturbed: Path) -> None:
    done = run(directory, "--quiet", "rules", checkout=checkout)
    assert done.returncode == 0, done.stdout[-5000:]
    assert steady_files(directory) == steady_files(undisturbed)
    assert leftovers(directory) == []
    again = run(directory, "--dry-run", checkout=checkout)
    assert "Nothing to be done" in again.stdout


def test_a_second_run_at_once_is_refused(frozen: Path, tmp_path: Path) -> None:
    running = Run(tmp_path / "run", frozen)
    running.wait_for(lambda: bool(running.jobs()))
    second = run(tmp_path / "run", checkout=frozen)
    assert second.returncode == 2
    assert f"{running.identity} (host:process:start) still runs this workflow" in second.stdout.splitlines()[-1]
    assert running.process.poll() is None
    running.kill(whole_group=True)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system on which 64 KiB are left."""
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    (folder / "filler").write_bytes(b"x" * (2**20 - 2**16))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.needs("root")
@pytest.mark.parametrize("what", ["checkpoints", "output"])
def test_full_disk_while_training(tiny_run: Path, frozen: Path, tmp_path: Path, full: Path, what: str) -> None:
    results = tiny_run / RESULTS
    where = {"checkpoints": tmp_path / "checkpoints", "output": tmp_path / "out"} | {what: full / what}
    text = load(ExperimentSettings, frozen / "tests/config/text.yaml")
    data = text.data.model_copy(update={"languages": ("eng_Latn", "spa_Latn")})
    settings = text.model_copy(update={"data": data}).model_dump_json()
    done = subprocess.run(
        [
            sys.executable, "-m", "mmclip", "pretrain-text", "--ingest", str(results / "ingest/phantom"),
            "--corpus", str(results / "filter/filtered/corpus"), "--shards", "phantom-000 phantom-001",
            "--settings", settings, "--checkpoints", str(where["checkpoints"]),
            "-o", str(where["output"]),
        ],
        cwd=frozen, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert not [file for file in full.rglob("*") if file.suffix == ".tmp"]
    assert not where["output"].exists()
