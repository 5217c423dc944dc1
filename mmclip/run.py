"""``mmclip run``: Snakemake with this installation's Python, and recovery from a controller that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mmclip.errors import UserError
from mmclip.lifeline import GRACE_SECONDS, followers
from mmclip.liveness import CONTROLLER_RECORD, alive, controller
from mmclip.provenance import ROOT

LOCKS = Path(".snakemake/locks")
"""Where Snakemake keeps its lock of the working directory."""

ELSEWHERE = ("--executor", "-e", "--profile", "--workflow-profile")
"""Arguments that say where jobs run; without one of them they run here."""

CORES = ("--cores", "-c", "--jobs", "-j")

WITHOUT_JOBS = ("-n", "--dry-run", "--dryrun", "--report", "--dag", "--rulegraph", "--filegraph", "--summary", "--lint")
"""Arguments with which Snakemake starts no job."""


def run(arguments: Sequence[str], directory: Path) -> NoReturn:
    """Become ``snakemake`` in `directory`, with further arguments; the exit status is its own.

    The config is checked first. Where an earlier controller left its lock and is dead (killed, power cut), the lock is
    removed. Where it still runs, this is an error: two controllers would start every job twice.

    Raises:
        UserError: the config is wrong, or another run works in this directory.
    """
    check_config(arguments)
    snakefile = ROOT / "Snakefile"
    if not snakefile.is_file():
        raise UserError(f"{snakefile}: no such file; `mmclip run` needs mmclip's checkout, not only the package")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--directory", str(directory)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if not {*WITHOUT_JOBS} & {*arguments}:
        claim(directory)
    sys.stdout.flush()
    # exec keeps the process id and start time, so that the record names Snakemake itself
    os.execve(sys.executable, [*command, *machine(arguments), *arguments], environment)


def check_config(arguments: Sequence[str]) -> None:
    """Say in one line what is wrong with the config file, before Snakemake reads it.

    Several files that Snakemake would merge are left to its own check.

    Raises:
        UserError: a key, a value or an experiment file is wrong.
    """
    from mmclip.config.root import check_run

    words = [word for word in configuration(arguments) if not word.startswith("-")]
    named = [word.partition("=")[2] for word in configuration(arguments) if word.startswith("--configfile")]
    files = [*filter(None, named), *(word for word in words if "=" not in word)] or [str(ROOT / "config/config.yaml")]
    if len(files) == 1:
        check_run(Path(files[0]), ROOT)


def machine(arguments: Sequence[str]) -> list[str]:
    """Arguments for this machine that were not given: all cores; and no limit on GPU jobs where there is no GPU."""
    given = {word.partition("=")[0] for word in arguments}
    if given & {*ELSEWHERE}:
        return []
    cores = [] if given & {*CORES} else ["--cores", "all"]
    # joined by "=", since `--resources a b` would take a target that follows it
    limited = given & {"--resources", "--res"} or Path("/dev/nvidia0").exists()
    return [*cores, *([] if limited else [f"--resources=gpu={os.cpu_count()}"])]


def claim(directory: Path) -> None:
    """Write down that this process runs the workflow in `directory`, and remove the lock that a dead run left.

    A lock without a record is of somebody who calls Snakemake directly, and stays.

    Raises:
        UserError: the process recorded there still runs, or ran on another host.
    """
    record = directory / CONTROLLER_RECORD
    record.parent.mkdir(parents=True, exist_ok=True)
    with record.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        identity = file.read().strip()
        if identity and alive(identity) and identity != controller():
            raise UserError(
                f"{record}: {identity} (host:process:start) still runs this workflow; wait for it or end it first, "
                f"and if that was another host that is gone, delete this file"
            )
        if identity:
            wait_for_jobs(identity)
            # What `snakemake --unlock` does, without planning the workflow for it. While the record is held, no
            # other run can have begun that this would take the lock from.
            shutil.rmtree(directory / LOCKS, ignore_errors=True)
        file.truncate(0)
        file.write(controller())


def wait_for_jobs(identity: str) -> None:
    """Wait until the jobs of a dead controller are gone, so that none of them works beside its rerun.

    Each notices within seconds, and may then save its state. What has not ended long after that hangs, or is no job
    (a program that a job left behind): it is not waited for.
    """
    deadline = time.monotonic() + GRACE_SECONDS + 10
    told = False
    while (left := followers(identity)) and time.monotonic() < deadline:
        if not told:
            print(f"mmclip: waiting for {len(left)} processes of the run that was killed", file=sys.stderr, flush=True)
            told = True
        time.sleep(0.1)


def configuration(arguments: Sequence[str]) -> list[str]:
    """The arguments that choose the configuration."""
    out: list[str] = []
    taking = False
    for word in arguments:
        if word.startswith("-"):
            option, equals, _ = word.partition("=")
            chosen = option in ("--configfile", "--configfiles", "--config", "-C")
            taking = chosen and not equals
            out += [word] * chosen
        elif taking:
            out.append(word)
    return out
