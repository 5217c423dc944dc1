"""``mmclip run``: Snakemake with this installation's Python, and recovery from a controller that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mmclip.errors import UserError
from mmclip.provenance import ROOT, alive, controller

RECORD = Path(".snakemake/mmclip-controller")
"""Where a running controller writes who it is, in the working directory."""

LOCKS = Path(".snakemake/locks")
"""Where Snakemake keeps its lock of the working directory."""


def run(arguments: Sequence[str], directory: Path) -> NoReturn:
    """Become ``snakemake`` in `directory`, with further arguments; the exit status is its own.

    Where an earlier controller left its lock and is dead (killed, power cut), the lock is removed first. Where it
    still runs, this is an error: two controllers would start every job twice.

    Raises:
        UserError: another run works in this directory.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    if claim(directory):
        unlock = [*command, "--cores", "1", "--unlock", "--quiet", "all", *configuration(arguments)]
        subprocess.run(unlock, env=environment, check=True)
    given = {"--cores", "-c", "--profile", "--executor", "--jobs", "-j"} & {word.split("=")[0] for word in arguments}
    cores = [] if given else ["--cores", "all"]
    # exec keeps the process id and start time, so that the record names Snakemake itself
    os.execve(sys.executable, [*command, *cores, *arguments], environment)


def claim(directory: Path) -> bool:
    """Write down that this process runs the workflow in `directory`; True where a dead run left its lock.

    Raises:
        UserError: the process recorded there still runs.
    """
    record = directory / RECORD
    dead = False
    if record.exists():
        identity = record.read_text().strip()
        if identity and alive(identity):
            raise UserError(f"{record}: {identity} still runs this workflow; wait for it, or end it first")
        dead = any((directory / LOCKS).glob("*"))
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(controller())
    return dead


def configuration(arguments: Sequence[str]) -> list[str]:
    """The arguments that choose the configuration: an unlock must read the same workflow."""
    out: list[str] = []
    taking = False
    for word in arguments:
        if word.startswith("-"):
            taking = word.split("=")[0] in ("--configfile", "--configfiles", "--config")
        if taking:
            out.append(word)
    return out
