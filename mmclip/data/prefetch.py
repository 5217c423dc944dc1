"""Preparing the next batches in threads while a step runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetch(make: Callable[[int], T], start: int, stop: int, workers: int) -> Iterator[T]:
    """``make(start)``, ..., ``make(stop - 1)`` in order, made ahead by threads.

    `make` is a pure function of the step, so the number of threads changes nothing but the speed. An exception of
    `make` is raised where its batch is due.

    Args:
        workers: threads, each one batch ahead; 0 makes each batch when it is asked for.
    """
    if workers == 0:
        yield from map(make, range(start, stop))
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    try:
        pending: deque[Future[T]] = deque()
        for step in range(start, stop):
            pending.append(pool.submit(make, step))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
