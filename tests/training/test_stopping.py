"""SIGTERM is heard at once, in any thread, and only while somebody heeds it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from mmclip.training.stopping import Abandoned, heed_sigterm, leave_if_requested, requested


def test_sigterm_is_heeded_and_stays() -> None:
    handler, descriptor = signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    assert not requested()
    with heed_sigterm():
        assert not requested()
        leave_if_requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert requested() and requested()
        with pytest.raises(Abandoned):
            leave_if_requested()
    assert not requested() and signal.getsignal(signal.SIGTERM) is handler
    assert signal.set_wakeup_fd(-1) == descriptor == -1
    with heed_sigterm():
        assert not requested(), "another run begins anew"


def test_another_thread_hears_it_while_the_main_one_is_busy() -> None:
    """As on a GPU, where the main thread waits for the backward pass and runs no handler."""
    heard: list[bool] = []
    with heed_sigterm():
        before = signal.signal(signal.SIGTERM, lambda *_: time.sleep(0.5))  # the handler has run when it is too late

        def listen() -> None:
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline and not requested():
                time.sleep(0.01)
            heard.append(requested())

        listener = threading.Thread(target=listen)
        listener.start()
        os.kill(os.getpid(), signal.SIGTERM)
        listener.join()
        signal.signal(signal.SIGTERM, before)
    assert heard == [True]


def test_in_another_thread_nothing_is_heeded() -> None:
    found: list[bool] = []

    def work() -> None:
        with heed_sigterm():
            found.append(requested())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
