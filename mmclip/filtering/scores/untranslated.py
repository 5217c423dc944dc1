"""Words of the source that an engine left standing, where the language has words of its own for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from mmclip.filtering.cues import Matcher, cues
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.copying import acronyms
from mmclip.filtering.tokens import LETTER
from mmclip.languages import ENGLISH, LANGUAGES

SHORTEST, LONGEST = 3, 40
"""Letters of a word that counts."""

OWN, OWN_SHARE = 5, 0.2
"""A word that so many translations hold, and so large a share of those that hold it, whose source does not have it,
is a word of the language (Dutch "over"), whatever the lists say."""

_LATIN = "a-z\u00df-\u024f\u1e00-\u1eff"
_WORD = re.compile(rf"[{_LATIN}]+|(?:(?![{_LATIN}]){LETTER})+")
"""Words; Latin letters apart from others that they are written together with (左侧pleural积液)."""

_NAME = re.compile(rf"(?:(?<=[a-z,] )|(?<=[a-z]-))[A-Z]{LETTER}+")
"""A capital inside a sentence."""

_CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]+")
"""Units and abbreviations."""

_DOTLESS = str.maketrans("ı", "i")
"""Folded as Turkish, a copied "Interval" begins with ı."""


def untranslated(pairs: Pairs) -> np.ndarray:
    """Different words of the source that stand in the translation and are none of its language; high is bad.

    Numbers, units, abbreviations and names (capitals inside a sentence) do not count, nor do words that the two
    languages share: those of `shared` in :class:`~mmclip.filtering.cues.CueFile`, the international ones, and what the
    pairs show to be the language's own (:data:`OWN`). Between languages of different scripts only the international
    ones are shared. The lists know what a language shares with English: 0 for a pair of other languages in one script.
    """
    shared = _shared(pairs)
    if shared is None:
        return np.zeros(len(pairs))
    sources = [set(_WORD.findall(text)) for text in pairs.folded_sources]
    translations = [set(_WORD.findall(text.translate(_DOTLESS))) for text in pairs.folded_translations]
    left = [
        {word for word in source & translation if _is_word(word) and not shared(word)} - _names(text)
        for source, translation, text in zip(sources, translations, pairs.sources, strict=True)
    ]
    own = _own(set().union(*left), sources, translations) if _same_script(pairs) else set()
    return np.array([len(words - own) for words in left], dtype=float)


def _same_script(pairs: Pairs) -> bool:
    return LANGUAGES[pairs.source_language].script == LANGUAGES[pairs.language].script


def _shared(pairs: Pairs) -> Callable[[str], bool] | None:
    """Whether a folded word is one of both languages; None where no list tells."""
    international = cues(ENGLISH).shared
    if not _same_script(pairs):
        return international
    others = {pairs.source_language, pairs.language} - {ENGLISH}
    if len(others) != 1:
        return None
    listed: Matcher = cues(others.pop()).shared
    return lambda word: international(word) or listed(word)


def _is_word(word: str) -> bool:
    return SHORTEST <= len(word) <= LONGEST and not _CONSONANTS.fullmatch(word)


def _names(source: str) -> set[str]:
    """Folded names and acronyms; a text in capitals shows neither."""
    return set() if source.isupper() else {name.casefold() for name in _NAME.findall(source)} | acronyms(source)


def _own(left: set[str], sources: list[set[str]], translations: list[set[str]]) -> set[str]:
    """Those of the left words that often stand in a translation whose source does not have them."""
    standing: Counter[str] = Counter()
    unprompted: Counter[str] = Counter()
    for source, translation in zip(sources, translations, strict=True):
        found = left & translation
        standing.update(found)
        unprompted.update(found - source)
    return {word for word, count in unprompted.items() if count >= max(OWN, OWN_SHARE * standing[word])}
