"""Who may run the workflow in a directory, and what Snakemake is called with."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmclip import liveness, run
from mmclip.errors import UserError
from mmclip.lifeline import CONTROLLER
from mmclip.provenance import ROOT
from mmclip.run import LOCKS, check_config, claim, configuration, machine


def record(directory: Path) -> Path:
    return directory / liveness.CONTROLLER_RECORD


def write_record(directory: Path, identity: str, locks: int = 0) -> None:
    record(directory).parent.mkdir(parents=True, exist_ok=True)
    record(directory).write_text(identity)
    folder = directory / LOCKS
    folder.mkdir(exist_ok=True)
    for number in range(locks):
        (folder / f"{number}.input.lock").write_text("")


def dead() -> str:
    child = subprocess.Popen([sys.executable, "-c", ""])
    identity = f"{socket.gethostname()}:{child.pid}:1"
    child.wait(timeout=60)
    return identity


def locks(directory: Path) -> list[Path]:
    return list((directory / LOCKS).glob("*"))


def test_claim_of_a_new_directory(tmp_path: Path) -> None:
    claim(tmp_path)
    assert record(tmp_path).read_text() == liveness.controller()


def test_claim_after_a_run_that_ended(tmp_path: Path) -> None:
    write_record(tmp_path, dead())
    claim(tmp_path)
    assert record(tmp_path).read_text() == liveness.controller()


def test_claim_after_a_run_that_was_killed(tmp_path: Path) -> None:
    write_record(tmp_path, dead(), locks=2)
    claim(tmp_path)
    assert record(tmp_path).read_text() == liveness.controller()
    assert locks(tmp_path) == []


def test_a_lock_without_a_record_is_somebody_elses(tmp_path: Path) -> None:
    write_record(tmp_path, "", locks=1)
    claim(tmp_path)
    assert len(locks(tmp_path)) == 1


def test_claim_waits_for_the_jobs_of_a_run_that_was_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity = dead()
    job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1)"], env={CONTROLLER: identity})
    write_record(tmp_path, identity, locks=1)
    claim(tmp_path)
    assert not liveness.process_start(job.pid), "it has ended"
    assert job.wait(timeout=60) == 0
    assert "waiting for 1 processes of the run that was killed" in capsys.readouterr().err


def test_claim_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GRACE_SECONDS", -9.5)
    identity = dead()
    stuck = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={CONTROLLER: identity})
    write_record(tmp_path, identity)
    claim(tmp_path)
    assert record(tmp_path).read_text() == liveness.controller()
    assert stuck.poll() is None
    stuck.communicate(b"\n", timeout=60)


def test_claim_of_a_directory_in_use(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = f"{socket.gethostname()}:{other.pid}:{liveness.process_start(other.pid)}"
    write_record(tmp_path, identity, locks=1)
    with pytest.raises(UserError, match="still runs this workflow"):
        claim(tmp_path)
    assert record(tmp_path).read_text() == identity
    assert len(locks(tmp_path)) == 1
    other.communicate(b"\n", timeout=60)
    claim(tmp_path)
    assert locks(tmp_path) == []


def test_claim_of_a_directory_in_use_on_another_host(tmp_path: Path) -> None:
    write_record(tmp_path, "elsewhere:1:1", locks=1)
    with pytest.raises(UserError, match="delete this file"):
        claim(tmp_path)


def test_of_two_claims_at_once_one_wins(tmp_path: Path) -> None:
    code = "import sys, pathlib; from mmclip.run import claim; input(); claim(pathlib.Path(sys.argv[1])); input()"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    deadline = time.monotonic() + 60
    while sum(child.poll() is not None for child in children) < 3:  # the winner waits for a line, the others end
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (winner,) = [child for child in children if child.poll() is None]
    assert record(tmp_path).read_text().split(":")[1] == str(winner.pid)
    errors = [child.communicate(timeout=60)[1] for child in children if child is not winner]
    assert all("still runs this workflow" in error for error in errors)
    winner.communicate("\n", timeout=60)


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (["--configfile", "a.yaml", "-n"], ["--configfile", "a.yaml"]),
        (["-n", "--configfile=a.yaml", "target"], ["--configfile=a.yaml"]),
        (["--configfiles", "a.yaml", "b.yaml", "--cores", "2"], ["--configfiles", "a.yaml", "b.yaml"]),
        (["--config", "seed=1", "run=x", "-k"], ["--config", "seed=1", "run=x"]),
        (["--cores", "2", "-n"], []),
    ],
)
def test_configuration(arguments: list[str], chosen: list[str]) -> None:
    assert configuration(arguments) == chosen


def test_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: False)
    free = [f"--resources=gpu={os.cpu_count()}"]
    assert machine([]) == ["--cores", "all", *free]
    assert machine(["--cores", "2"]) == free
    assert machine(["--cores=2", "--resources", "gpu=1"]) == []
    assert machine(["--workflow-profile", "profiles/slurm"]) == []
    assert machine(["--executor=slurm", "--jobs", "5"]) == []
    monkeypatch.setattr(Path, "exists", lambda path: True)
    assert machine([]) == ["--cores", "all"]


def test_a_target_comes_first(tmp_path: Path) -> None:
    target = "results/tiny/ingest/phantom"
    words = [target, "--dry-run", "--directory", str(tmp_path), "--configfile", str(ROOT / "tests/config/tiny.yaml")]
    command = [sys.executable, "-m", "mmclip", "run", *words]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert "ingest:" in told.stdout + told.stderr
    assert "translate:" not in told.stdout + told.stderr


def test_the_shipped_configs_are_right() -> None:
    check_config([])
    check_config(["--configfile", str(ROOT / "tests/config/tiny.yaml")])
    check_config(["--configfiles", "missing.yaml", "two.yaml"])  # merged by Snakemake, and left to it


TINY = (ROOT / "tests/config/tiny.yaml").read_text()

WRONG = {
    "an unknown key": ("shards: 2", "shard: 2", "unknown key 'shard'"),
    "a repeated key": ("shards: 2", "shards: 2\nshards: 3", "occurs twice"),
    "a wrong language code": ("spa_Latn", "spanish", "'spanish' is not a language"),
    "a value of the wrong kind": ("shards: 2", "shards: many", "shards"),
    "a missing experiment file": ("tests/config/clip.yaml", "tests/config/none.yaml", "none.yaml: no such file"),
    "an unknown data set": ("  benchmarks:\n    phantom", "  benchmarks:\n    mimic", "no data set 'mimic'"),
    "an unknown search experiment": ("experiment: three_m_clip", "experiment: three", "no experiment 'three'"),
    "a search experiment without images": ("experiment: three_m_clip", "experiment: text", "not of task align"),
    "an unknown engine": ("engine: phrasebook", "engine: nllb", "no engine 'nllb'"),
    "a text encoder that is not there": ("  text: tests/config/text.yaml\n", "", "no experiment 'text' of task text"),
    "a policy without its classifier": (
        "shards: 2\n",
        "shards: 2\n\ndisambiguate: {policies: {Edema: U-MultiClass}}\n",
        "'Edema' is U-MultiClass, but classify.multiclass of the classifiers lacks it",
    ),
    "no YAML": ("shards: 2", "shards: [2", "not valid YAML"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_config_is_one_line(tmp_path: Path, case: str) -> None:
    old, new, message = WRONG[case]
    assert old in TINY
    file = tmp_path / "config.yaml"
    file.write_text(TINY.replace(old, new))
    with pytest.raises(UserError) as error:
        check_config(["--configfile", str(file)])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_objective(tmp_path: Path) -> None:
    experiment = tmp_path / "e.yaml"
    experiment.write_text((ROOT / "tests/config/clip.yaml").read_text().replace("name: clip", "name: telepathy"))
    config = tmp_path / "config.yaml"
    config.write_text(TINY.replace("tests/config/clip.yaml", str(experiment)))
    with pytest.raises(UserError, match="'telepathy' is not a module"):
        check_config(["--configfile", str(config)])
