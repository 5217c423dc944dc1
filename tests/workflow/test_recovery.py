"""The workflow survives what happens to it: kills at any moment, a second run at once, a full disk while training.

Every kill is SIGKILL, of the controller alone or of its whole process group, at a random moment that is printed with
the seed it comes from; $MMCLIP_KILL_SEED repeats a seed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmclip.config.base import load
from mmclip.config.training import ExperimentSettings
from mmclip.lifeline import followers
from mmclip.liveness import controller as own_identity
from mmclip.liveness import process_start
from tests.workflow.tiny import PATIENCE, RESULTS, STAGES, command, environment, leftovers, run, steady_files

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("workflow")]

ORPHANS = 30.0
"""Seconds in which every job of a dead controller must be gone: one until it notices, and its grace at most."""

SEED = os.environ.get("MMCLIP_KILL_SEED") or str(time.time_ns())


class Run:
    """``mmclip run`` of the tiny config, in a process group of its own."""

    def __init__(self, directory: Path, checkout: Path, *arguments: str, **variables: str) -> None:
        self.log = directory.with_name(f"{directory.name}.log")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command(directory, "--quiet", "rules", *arguments, checkout=checkout),
                cwd=checkout,
                env=environment(**variables),
                umask=0o022,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        host = own_identity().split(":")[0]
        self.identity = f"{host}:{self.process.pid}:{process_start(self.process.pid)}"
        self.begun = time.monotonic()

    def jobs(self) -> set[str]:
        """The mmclip commands of living jobs."""
        return {words[3] for pid in followers(self.identity) if (words := argv(pid))[1:3] == ["-m", "mmclip"]}

    def reaches(self, what: Callable[[], bool]) -> bool:
        """Wait until something is so; False where the run has ended before, as it should."""
        while not what():
            if self.process.poll() is not None:
                assert self.process.returncode == 0, self.said()
                return False
            assert time.monotonic() < self.begun + PATIENCE, self.said()
            time.sleep(0.02)
        return True

    def kill(self, whole_group: bool) -> None:
        """SIGKILL to the controller alone or to everything."""
        print(f"after {time.monotonic() - self.begun:.2f} s: {'the whole group' if whole_group else 'the controller'}")
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        assert self.process.wait(PATIENCE) == -signal.SIGKILL

    def wait_for_orphans(self) -> float:
        """Seconds until the last job, and what it has started, is gone."""
        start = time.monotonic()
        while left := followers(self.identity):
            assert time.monotonic() - start < ORPHANS, [argv(pid) for pid in left]
            time.sleep(0.05)
        return time.monotonic() - start

    def said(self) -> str:
        return self.log.read_text()[-3000:]


def argv(pid: int) -> list[str]:
    """The command of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


@dataclass(frozen=True)
class Stage:
    """A rule of the workflow: the mmclip command of its jobs, and patterns of what they leave below the results.

    Attributes:
        outputs: of those jobs that the tests repeat; where a rule has many, some are enough.
        memory: what else the jobs leave and would go on from.
    """

    command: str
    outputs: str
    memory: str = ""

    def targets(self, directory: Path) -> list[str]:
        """The outputs that are there, as Snakemake names them."""
        files = (directory / RESULTS).glob(self.outputs)
        return sorted(str(file.relative_to(directory)) for file in files)

    def remove(self, directory: Path) -> None:
        """Remove outputs and memory."""
        patterns = filter(None, (self.outputs, self.memory))
        for path in [path for pattern in patterns for path in (directory / RESULTS).glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


IN: dict[str, Stage] = {
    "build": Stage("build", "build/ext.json"),
    "ingest": Stage("ingest", "ingest/*"),
    "pack": Stage("pack", "pack/*"),
    "translate": Stage("translate-shard", "translate/*_*/*.parquet", "translate/store*"),
    "filter": Stage("filter-shard", "filter/filtered/*/*/phantom-000.parquet"),
    "draw_thresholds": Stage("draw-thresholds", "filter/thresholds/spa_Latn.json"),
    "measure_filter": Stage("measure-filter", "filter/filtered/faults_report.json"),
    "validate": Stage("validate", "validate/*"),
    "label": Stage("label-shard", "label/*.parquet"),
    "predict_labels": Stage("predict-labels", "predict_labels/*.parquet", "checkpoints/classifier"),
    "disambiguate": Stage("disambiguate", "disambiguate/*.parquet"),
    "pretrain_text": Stage("pretrain-text", "pretrain_text/text", "checkpoints/text"),
    "pretrain": Stage("pretrain", "pretrain/three_m_clip", "checkpoints/three_m_clip"),
    "benchmark": Stage("benchmark", "benchmarks/*.json"),
    "evaluate": Stage("evaluate", "evaluate/three_m_clip/[lr]*/*/*.*"),
    "release": Stage("release", "release/*"),
    "report": Stage("report", "report/report.html"),
    "search": Stage("search", "search/search.html"),
}


def test_every_stage_is_here() -> None:
    assert set(IN) == STAGES


@pytest.mark.parametrize("rule", IN)
def test_killed_in_a_stage(tiny_run: Path, frozen: Path, tmp_path: Path, rule: str) -> None:
    """Killed in both ways, one after the other, without waiting for orphans: the stage leaves what it would have."""
    stage, directory, chance = IN[rule], tmp_path / "run", dice(rule)
    begin_anew(stage, tiny_run, directory)
    # an empty folder: the extension is compiled, into a folder that outlives the kills
    variables = {"MMCLIP_EXTENSION_DIR": str(tmp_path / "extension")} if rule == "build" else {}
    longest = 15.0 if rule == "build" else duration(tiny_run, rule)
    wanted = only(stage, tiny_run)
    killed: list[Run] = []
    for whole_group in chance.sample([True, False], 2):
        running = Run(directory, frozen, *wanted, **variables)
        if not running.reaches(lambda running=running: stage.command in running.jobs()):  # type: ignore[misc]
            stage.remove(directory)  # the kill before came when all was done
            running = Run(directory, frozen, *wanted, **variables)
            assert running.reaches(lambda running=running: stage.command in running.jobs())  # type: ignore[misc]
        moment = time.monotonic() + chance.uniform(0, longest)
        running.reaches(lambda running=running, moment=moment: time.monotonic() >= moment or not running.jobs())  # type: ignore[misc]
        running.kill(whole_group)
        killed.append(running)
    done = run(directory, *wanted, checkout=frozen, variables=variables)
    assert done.returncode == 0, done.stdout[-5000:]
    for running in killed:
        assert running.wait_for_orphans() < 1, "the next run has waited for them"
    assert stage.targets(directory) == stage.targets(tiny_run)
    assert steady_files(directory) == steady_files(tiny_run)
    assert leftovers(directory) == []


@pytest.mark.timeout(1500)
def test_killed_all_along(tiny_run: Path, frozen: Path, tmp_path: Path) -> None:
    """From nothing to the report with kills at random moments of the whole run, planning included."""
    directory, chance = tmp_path / "run", dice("all")
    for _ in range(6):
        running = Run(directory, frozen)
        moment = time.monotonic() + chance.uniform(0.5, 20)
        assert running.reaches(lambda moment=moment: time.monotonic() >= moment)  # type: ignore[misc]
        running.kill(whole_group=chance.random() < 0.5)
    done = run(directory, "--quiet", "rules", checkout=frozen)
    assert done.returncode == 0, done.stdout[-5000:]
    assert steady_files(directory) == steady_files(tiny_run)
    assert leftovers(directory) == []
    again = run(directory, "--dry-run", checkout=frozen)
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize("whole_group", [False, True])
def test_killed_between_checkpoints(tiny_run: Path, frozen: Path, tmp_path: Path, whole_group: bool) -> None:
    """Killed just after a checkpoint: training goes on from there, to the same weights."""
    directory, stage = tmp_path / "run", IN["pretrain"]
    begin_anew(stage, tiny_run, directory)
    running = Run(directory, frozen, *only(stage, tiny_run))
    checkpoints = directory / RESULTS / "checkpoints/three_m_clip"
    assert running.reaches(lambda: any(checkpoints.glob("*/manifest.json")))
    running.kill(whole_group)
    running.wait_for_orphans()
    done = run(directory, *only(stage, tiny_run), checkout=frozen)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "pretrain: resumes after step" in (directory / RESULTS / "logs/pretrain/three_m_clip.log").read_text()
    assert steady_files(directory) == steady_files(tiny_run)


def test_orphans_are_gone_before_they_write(tiny_run: Path, frozen: Path, tmp_path: Path) -> None:
    """The controller alone is killed while training starts: its job ends and leaves no output."""
    directory, stage = tmp_path / "run", IN["pretrain"]
    begin_anew(stage, tiny_run, directory)
    running = Run(directory, frozen, *only(stage, tiny_run))
    assert running.reaches(lambda: "pretrain" in running.jobs())
    running.kill(whole_group=False)
    seconds = running.wait_for_orphans()
    assert seconds < 10, "it notices within a second, and is not yet training"
    assert not (directory / RESULTS / "pretrain/three_m_clip").exists()


def dice(name: str) -> random.Random:
    print(f"MMCLIP_KILL_SEED={SEED}")
    return random.Random(f"{SEED} {name}")


def duration(directory: Path, rule: str) -> float:
    """Seconds of the longest job of a rule, as Snakemake measured it."""
    folder = directory / RESULTS / "benchmarks"
    files = [folder / f"{rule}.tsv", *(folder / rule).rglob("*.tsv")]
    return max(float(file.read_text().splitlines()[1].split("\t")[0]) for file in files if file.exists())


def begin_anew(stage: Stage, finished: Path, directory: Path) -> None:
    """Copy a finished run to `directory`, but for what a stage left there."""
    shutil.copytree(finished, directory)
    stage.remove(directory)


def only(stage: Stage, finished: Path) -> list[str]:
    """Arguments that make a run stop at the outputs of a stage, whatever has been made of them."""
    return ["--cores", "2", *stage.targets(finished)]


def test_a_second_run_at_once_is_refused(frozen: Path, tmp_path: Path) -> None:
    running = Run(tmp_path / "run", frozen)
    assert running.reaches(lambda: bool(running.jobs()))
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
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True, timeout=60)
    (folder / "filler").write_bytes(b"x" * (2**20 - 2**16))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


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
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert not [file for file in full.rglob("*") if file.suffix == ".tmp"]
    assert not where["output"].exists()
