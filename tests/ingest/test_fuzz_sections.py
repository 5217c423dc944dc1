"""Fuzzing of the report reader: any text gives sections, soon, made of the text's own characters."""

from __future__ import annotations

import random
import time

import pytest

from mmclip.ingest.headers import NAMES
from mmclip.ingest.sections import split

HEADINGS = [name for names in NAMES.values() for name in names]
PIECES = [
    "\n", "\n\n", "\r\n", "\r", " ", "\t", ":", ".", ",", "-", "_____", "*****", "=====", "1.", "1)", "(", ")", "\0",
    "\x0b", "\x0c", "\x85", "\u2028", "\u00a0", "\ufeff", "\u202e", "İ", "ß", "e\u0301", "。", "肺", "\U0001f600",
    "No acute disease.", "Lungs: clear", "CHEST, PA AND LATERAL:", "COMPARISON: None.", "FINAL REPORT",
    "a" * 50, " " * 50,
]  # fmt: skip
SECONDS = 2.0
"""Of CPU time for a text of 100,000 characters."""


def report(draw: random.Random) -> str:
    """Headings, their pieces, and what no report holds, in any order."""
    parts = []
    for _ in range(draw.randrange(1, 40)):
        kind = draw.random()
        if kind < 0.35:
            heading = draw.choice(HEADINGS)
            heading = draw.choice(
                (heading, heading.title(), heading.lower(), heading[: draw.randrange(len(heading) + 1)])
            )
            parts.append(heading + draw.choice((":", " :", "", ":\n", " -")))
        elif kind < 0.95:
            parts.append(draw.choice(PIECES))
        else:
            parts.append(draw.choice(PIECES) * draw.choice((10, 1000, 20_000)))
    return "".join(parts)[:100_000]


def check(text: str) -> None:
    before = time.process_time()
    found = split(text)
    assert time.process_time() - before < SECONDS
    characters = set(text) | {"\n", " "}
    for section in (found.findings, found.impression, found.last_paragraph):
        assert set(section) <= characters and len(section) <= len(text) + 1 and section == section.strip()


def fuzz(seconds: float, seed: int) -> int:
    """Texts read in so long."""
    draw, count, end = random.Random(seed), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        text = report(draw)
        try:
            check(text)
        except BaseException as error:
            raise AssertionError(f"seed {seed}, text {count}: {text[:2000]!r} ({len(text)} characters)") from error
        count += 1
    return count


def test_some_seconds_of_texts() -> None:
    assert fuzz(3, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_minutes_of_texts() -> None:
    fuzz(180, 1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_minutes_of_texts() -> None:
    fuzz(600, random.SystemRandom().randrange(2**32))


@pytest.mark.parametrize(
    "text", ["", "\0", ":", "FINDINGS:" * 10_000, "\n" * 100_000, " " * 100_000 + ":", "A " * 50_000]
)
def test_odd_texts(text: str) -> None:
    check(text)
