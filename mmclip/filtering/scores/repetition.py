"""Repetition inside a translation, and one translation for many sources: a decoder that is stuck does both."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.tokens import LETTER, MARKS
from mmclip.languages import LANGUAGES

LONGEST = 8
"""Longest n-gram looked for, in tokens."""

_LOOP = re.compile(rf"((?:{LETTER}|[{MARKS}]){{1,4}}?)\1{{2,}}")


def longest_run(tokens: Sequence[str], longest: int = LONGEST) -> int:
    """How many times any n-gram of 1 to `longest` tokens stands back to back; 1 where none does, 0 for no token."""
    if not tokens:
        return 0
    best = 1
    if len(set(tokens)) == len(tokens):
        return best
    for n in range(1, min(longest, len(tokens) // 2) + 1):
        equal = 0
        for here, before in zip(tokens[n:], tokens, strict=False):
            equal = equal + 1 if here == before else 0
            best = max(best, equal // n + 1)
    return best


def continuous(pairs: Pairs) -> np.ndarray:
    """Longest back-to-back run of an n-gram, in times; high is bad.

    What the source repeats itself is no fault: its own excess over 1 is taken off.
    """
    return np.array(
        [
            _beyond(longest_run(translation), longest_run(source))
            for source, translation in zip(pairs.source_tokens, pairs.translation_tokens, strict=True)
        ],
        dtype=float,
    )


def character_loop(folded: str) -> int:
    """How many times one to four letters stand back to back inside a word ("nanana": 3); 1 where fewer than 3."""
    return max((len(found[0]) // len(found[1]) for found in _LOOP.finditer(folded)), default=1)


def loops(pairs: Pairs) -> np.ndarray:
    """Longest loop of one to four letters inside a word, in times, beyond the source's; high is bad."""
    return np.array(
        [
            _beyond(character_loop(translation), character_loop(source))
            for source, translation in zip(pairs.folded_sources, pairs.folded_translations, strict=True)
        ],
        dtype=float,
    )


def _beyond(translation: int, source: int) -> int:
    return max(min(translation, 1), translation - max(source - 1, 0))


def distinct_ngrams(tokens: Sequence[str], n: int) -> float:
    """Distinct n-grams / n-grams; 1 where the text is shorter than n."""
    total = len(tokens) - n + 1
    return len(set(zip(*(tokens[start:] for start in range(n)), strict=False))) / total if total > 0 else 1.0


def distinct(pairs: Pairs) -> np.ndarray:
    """Share of distinct n-grams, relative to the source's (at most 1); low is bad.

    n is 2 for words and 3 for characters: a sentence said twice has about half.
    """
    sources = np.array([_share(tokens, pairs.source_language) for tokens in pairs.source_tokens], dtype=float)
    translations = np.array([_share(tokens, pairs.language) for tokens in pairs.translation_tokens], dtype=float)
    return np.asarray(np.minimum(1.0, translations / sources))


def _share(tokens: Sequence[str], language: str) -> float:
    return distinct_ngrams(tokens, 3 if LANGUAGES[language].tokens == "character" else 2)


def shared_output(pairs: Pairs) -> np.ndarray:
    """Number of different sources in this shard that have this very translation; high is bad.

    Sources count as different when their words differ, whatever their case and punctuation. A source to which more
    than half of the translation's occurrences belong scores 1: it owns the translation, the others took it.
    """
    sources = [" ".join(tokens) for tokens in pairs.source_tokens]
    occurrences: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for source, translation, count in zip(
        sources, pairs.folded_translations, pairs.counts or [1] * len(pairs), strict=True
    ):
        occurrences[translation][source] += count
    out = np.ones(len(pairs))
    for row, (source, translation) in enumerate(zip(sources, pairs.folded_translations, strict=True)):
        of_each = occurrences[translation]
        if 2 * of_each[source] <= of_each.total():
            out[row] = len(of_each)
    return out
