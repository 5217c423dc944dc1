"""A job stops when the workflow that started it is gone, so that no orphan writes beside a rerun."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from mmclip.liveness import alive

CONTROLLER = "MMCLIP_CONTROLLER"
"""Environment variable with the identity of the process that runs the workflow; the Snakefile sets it."""

GRACE_SECONDS = 20.0
"""Time a job has after SIGTERM to save and leave."""


def follow_controller(interval: float = 1.0) -> None:
    """Watch the controller from a thread: once it is dead, end this process, by SIGTERM, and SIGKILL after the grace.

    What this process has started is ended with it: a compiler would go on for nobody. Does nothing when no workflow
    started this process, or when it runs on another host (SLURM ends its own jobs).
    """
    identity = os.environ.get(CONTROLLER)
    if not identity:
        return

    def watch() -> None:
        while alive(identity):
            time.sleep(interval)
        _end(signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        _end(signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def followers(identity: str) -> list[int]:
    """Process numbers of the jobs, and of what they have started, that the controller `identity` started here."""
    wanted = f"{CONTROLLER}={identity}".encode()
    return [pid for pid in _processes() if wanted in _read(pid, "environ").split(b"\0")]


def descendants(pid: int) -> list[int]:
    """The processes that process `pid` has started, those that they have started, and so on."""
    children: dict[int, list[int]] = {}
    for one in _processes():
        fields = _read(one, "stat").rpartition(b")")[2].split()  # field 3 (state) of proc(5) and those behind it
        if fields:
            children.setdefault(int(fields[1]), []).append(one)
    found = list(children.get(pid, []))
    for one in found:  # which grows meanwhile
        found += children.get(one, [])
    return found


def _end(by: signal.Signals) -> None:
    """Send a signal to all that this process has started, and to itself."""
    for pid in (*descendants(os.getpid()), os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, by)


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def _read(pid: int, name: str) -> bytes:
    """A file of ``/proc/PID``; empty where the process has ended, is a zombie, or is somebody else's."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
