"""Who is alive."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from mmclip import liveness


def test_this_process_is_alive() -> None:
    assert liveness.alive(liveness.controller())
    assert liveness.controller().startswith(f"{socket.gethostname()}:{os.getpid()}:")


def test_an_ended_process_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    identity = f"{socket.gethostname()}:{child.pid}:{liveness.process_start(child.pid)}"
    assert liveness.alive(identity)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert not liveness.alive(identity)
    child.wait()
    assert not liveness.alive(identity)


def test_a_later_process_with_the_same_number_is_another() -> None:
    host, pid, start = liveness.controller().rsplit(":", 2)
    assert not liveness.alive(f"{host}:{pid}:{int(start) - 1}")


def test_another_host_counts_as_alive() -> None:
    assert liveness.alive(f"no-such-host:{os.getpid()}:1")
