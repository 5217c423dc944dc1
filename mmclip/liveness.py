"""Which process runs something, and whether it still lives: told apart from a later one of the same number.

Standard library only: the Snakefile imports this module each time the workflow is planned.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

CONTROLLER_RECORD = ".snakemake/mmclip-controller"
"""File in the working directory that says who runs the workflow there."""


def process_start(pid: int) -> str:
    """When a process of this machine started (clock ticks since boot), or "" if there is none: tells a process from
    a later one that got the same number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    after_name = stat.rpartition(")")[2].split()
    return "" if after_name[0] == "Z" else after_name[19]  # field 22 of proc(5); a zombie runs no more


def controller() -> str:
    """This process as ``host:pid:start``, for jobs and later runs to ask whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{process_start(os.getpid())}"


def alive(identity: str) -> bool:
    """Whether the process of a :func:`controller` identity still runs; one of another host counts as alive."""
    host, pid, start = identity.rsplit(":", 2)
    return host != socket.gethostname() or process_start(int(pid)) == start
