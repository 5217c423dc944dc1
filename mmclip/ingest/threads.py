"""A function over many items in threads, in their order, with a bounded number of them under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_BLOCK = 4096
"""Items handed out at a time: a pool of its own accord takes all of a million at once."""


def in_threads(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The function's results in the order of the items; what it raises is raised here."""
    rest = iter(items)
    with ThreadPoolExecutor(workers) as pool:
        while block := list(islice(rest, _BLOCK)):
            yield from pool.map(function, block)
