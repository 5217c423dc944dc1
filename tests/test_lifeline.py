"""A job ends when the workflow that started it is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from mmclip.lifeline import CONTROLLER, descendants, followers
from mmclip.liveness import process_start

JOB = """
import sys, time
from mmclip.lifeline import follow_controller
{before}
follow_controller(interval=0.05)
print("ready", flush=True)
time.sleep(30)
"""


def job(identity: str | None, before: str = "") -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != CONTROLLER}
    if identity is not None:
        environment[CONTROLLER] = identity
    child = subprocess.Popen(
        [sys.executable, "-c", JOB.format(before=before)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


@pytest.fixture
def controller() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def identity(process: subprocess.Popen[bytes]) -> str:
    return f"{socket.gethostname()}:{process.pid}:{process_start(process.pid)}"


def test_a_job_ends_with_its_controller(controller: subprocess.Popen[bytes]) -> None:
    child = job(identity(controller))
    time.sleep(0.3)
    assert child.poll() is None
    controller.kill()  # not waited for: a zombie is dead enough
    assert child.wait(timeout=5) == -signal.SIGTERM
    controller.wait(timeout=5)


def test_a_job_has_time_to_save(controller: subprocess.Popen[bytes]) -> None:
    save = "import signal; signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(3)))"
    child = job(identity(controller), save)
    controller.kill()
    out, _ = child.communicate(timeout=5)
    assert (child.returncode, out) == (3, "saved\n")
    controller.wait(timeout=5)


def test_a_job_that_does_not_listen_is_killed(controller: subprocess.Popen[bytes]) -> None:
    deaf = (
        "import signal, mmclip.lifeline; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "mmclip.lifeline.GRACE_SECONDS = 0.3"
    )
    child = job(identity(controller), deaf)
    controller.kill()
    assert child.wait(timeout=5) == -signal.SIGKILL
    controller.wait(timeout=5)


def test_what_a_job_has_started_ends_with_it(controller: subprocess.Popen[bytes]) -> None:
    """A compiler, which started another: neither knows of the workflow."""
    sleep = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    child = job(identity(controller), f"import subprocess; subprocess.Popen([sys.executable, '-c', {sleep!r}])")
    wait_until(lambda: len(descendants(child.pid)) == 2)
    assert {child.pid, *descendants(child.pid)} == {*followers(identity(controller))}
    name = identity(controller)
    controller.kill()
    assert child.wait(timeout=5) == -signal.SIGTERM
    wait_until(lambda: not followers(name))
    controller.wait(timeout=5)


def wait_until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_on_its_own_goes_on() -> None:
    child = job(None)
    time.sleep(0.3)
    assert child.poll() is None
    child.kill()
    child.communicate(timeout=5)


def test_a_controller_on_another_host_is_not_watched() -> None:
    child = job("elsewhere:1:1")
    time.sleep(0.3)
    assert child.poll() is None
    child.kill()
    child.communicate(timeout=5)
