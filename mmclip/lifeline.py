"""A job stops when the workflow that started it is gone, so that no orphan writes beside a rerun."""

from __future__ import annotations

import os
import signal
import threading
import time

from mmclip.liveness import alive

CONTROLLER = "MMCLIP_CONTROLLER"
"""Environment variable with the identity of the process that runs the workflow; the Snakefile sets it."""

GRACE_SECONDS = 20.0
"""Time a job has after SIGTERM to save and leave."""


def follow_controller(interval: float = 1.0) -> None:
    """Watch the controller from a thread: once it is dead, send this process SIGTERM, and SIGKILL after the grace.

    Does nothing when no workflow started this process, or when it runs on another host (SLURM ends its own jobs).
    """
    identity = os.environ.get(CONTROLLER)
    if not identity:
        return

    def watch() -> None:
        while alive(identity):
            time.sleep(interval)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
