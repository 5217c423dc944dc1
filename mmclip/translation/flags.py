"""Flags that can be told from a sentence and its translation alone, whatever the engine."""

from __future__ import annotations

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

    A stretch has period p where each character equals the one p before. Time is length times the longest period.
    """
    for period in range(1, min(LOOP_UNIT, len(text) // LOOP_REPEATS) + 1):
        needed = max(period * LOOP_REPEATS, LOOP_LENGTH) - period
        start = 0
        for i in range(period, len(text)):
            if text[i] != text[i - period]:
                start = i - period + 1
            elif i - period - start + 1 >= needed and any(map(str.isalpha, text[i - period : i])):
                return True
    return False
