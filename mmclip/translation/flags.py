"""Flags that can be told from a sentence and its translation alone, whatever the engine."""

from __future__ import annotations

import numpy as np

LOOP_REPEATS = 4
"""Times that a unit stands back to back in a loop. Reduplication (``paru-paru``) is two."""
LOOP_UNIT = 100
"""Longest unit of a loop that is looked for, in characters."""
LOOP_LENGTH = 8
"""Fewest characters in a loop."""


def flags_of(sentence: str, translation: str) -> tuple[str, ...]:
    """``empty``, ``copy`` and ``loop``, as far as they hold."""
    if not translation.strip():
        return ("empty",)
    found = []
    if is_copy(sentence, translation):
        found.append("copy")
    if has_loop(translation) and not has_loop(sentence):
        found.append("loop")
    return tuple(found)


def is_copy(sentence: str, translation: str) -> bool:
    """Whether the translation is the source itself; a single word may rightly stay what it is."""
    words = sentence.casefold().split()
    return sum(any(map(str.isalpha, word)) for word in words) > 1 and words == translation.casefold().split()


def has_loop(text: str) -> bool:
    """Whether some stretch of the text is one unit over and over (a decoder that does not find its way out).

    A stretch has period p where each character equals the one p before. Time is length times the longest period; a
    megabyte takes about a second.
    """
    characters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    letters = np.cumsum([0, *map(str.isalpha, text)])
    for period in range(1, min(LOOP_UNIT, len(text) // LOOP_REPEATS) + 1):
        needed = max(period * LOOP_REPEATS, LOOP_LENGTH) - period
        equal = np.zeros(len(text) - period + 1, dtype=np.int64)
        np.cumsum(characters[period:] == characters[:-period], out=equal[1:])
        starts = np.flatnonzero(equal[needed:] - equal[:-needed] == needed)
        if starts.size and (letters[starts + period] > letters[starts]).any():
            return True
    return False
