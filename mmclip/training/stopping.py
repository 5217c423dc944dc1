"""SIGTERM: training is asked to stop, and has a grace time to save and leave. SLURM, Snakemake and torchrun send it."""

from __future__ import annotations

import select
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mmclip.training.distributed import any_rank

_received: list[socket.socket] = []
"""The reading end of the socket that a signal is written to, while somebody heeds it."""


class Abandoned(Exception):
    """The step under way was given up: nothing of it has reached the weights, the optimiser or the buffers."""


@contextmanager
def heed_sigterm() -> Iterator[None]:
    """Let SIGTERM set :func:`requested` instead of ending the process. Does nothing outside the main thread.

    A signal handler of Python's runs between two instructions of the main thread, which on a GPU waits in C++ for the
    whole backward pass. The signal's number is therefore written to a socket, at once, and read from there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    descriptor = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    _received.append(reading)
    try:
        yield
    finally:
        _received.pop()
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGTERM, previous)
        reading.close()
        writing.close()


def requested() -> bool:
    """Whether SIGTERM has come since :func:`heed_sigterm` began; it stays true until that ends."""
    if not _received or not select.select([_received[-1]], [], [], 0)[0]:
        return False
    return signal.SIGTERM in _received[-1].recv(4096, socket.MSG_PEEK)


def leave_if_requested() -> None:
    """Give up the step if any rank was asked to stop. All ranks call it equally often in a step, before its gradients
    are summed.

    Raises:
        Abandoned: on every rank.
    """
    if any_rank(requested()):
        raise Abandoned
