"""Which language a translation is in, by letter n-grams, among the 21 that it could be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from mmclip.filtering.cues import cues
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.length import letters
from mmclip.languages import LANGUAGES

MOST = 6.0
"""Odds are cut at 10 to the power of this: beyond it the identifier's probabilities are zeros."""

LONGEST = 2000
"""Characters that are looked at: more tell nothing new, and one word of a megabyte would take minutes."""

ENOUGH = 24
"""Letters of an English sentence whose translation is long enough to judge by: one word is often a neighbour's, too."""

DOUBTFUL = (-4.0, -0.5)
"""Between these odds the quick look is checked by the close one."""


def language_odds(pairs: Pairs) -> np.ndarray:
    """log10 odds of the wanted language against the likeliest other of the 21, -6 to 6; low is bad.

    A quick look by trigrams settles nearly all. It errs on short sentences of international words ("La silueta
    cardíaca es normal": Portuguese), so where it doubts, n-grams of one to five letters decide between the two.
    0 where there is nothing to judge by, and nearer to it the shorter a text below :data:`ENOUGH` is.
    """
    enough = ENOUGH * cues(pairs.language).length
    odds = [_odds(text[:LONGEST], pairs.language) for text in pairs.translations]
    weights = [min(1.0, letters(text) / enough) for text in pairs.translations]
    return np.multiply(odds, weights, dtype=float)


def _odds(text: str, language: str) -> float:
    if text and _han_only(text) and language in _REPERTOIRES:
        return _odds_of_characters(text, language)
    iso = LANGUAGES[language].iso
    quick, other = _against_best(_quick(), text, iso)
    if DOUBTFUL[0] < quick < DOUBTFUL[1]:
        return _against_best(_close(*sorted((iso, other))), text, iso)[0]
    return quick


def _against_best(detector: Any, text: str, iso: str) -> tuple[float, str]:
    """log10 odds of a language against the likeliest other, and that other's ISO 639-1 code."""
    values = {
        value.language.iso_code_639_1.name.lower(): value.value
        for value in detector.compute_language_confidence_values(text)
    }
    wanted = values.pop(iso)
    other = max(values, key=values.__getitem__)
    if wanted == values[other] == 0:
        return 0.0, other
    floor = 10.0**-MOST
    return max(-MOST, min(MOST, math.log10(max(wanted, floor) / max(values[other], floor)))), other


_REPERTOIRES = {"zho_Hans": "gb2312", "jpn_Jpan": "shift_jis"}
"""Character sets that hold the Chinese characters of one of the two languages and not all of the other's."""


def _han_only(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return bool(letters) and all("\u3400" <= char <= "\u9fff" or char == "々" for char in letters)


def _odds_of_characters(text: str, language: str) -> float:
    """Chinese against Japanese without kana (左大量胸水), where the identifier always says Chinese.

    A character that the language does not use decides against it; where every character serves both, nothing does.
    """
    wanted, other = (
        all(_in_repertoire(char, code) for char in text if char.isalpha())
        for code in (_REPERTOIRES[language], *(_REPERTOIRES[key] for key in _REPERTOIRES if key != language))
    )
    return 0.0 if wanted == other else MOST if wanted else -MOST


def _in_repertoire(char: str, code: str) -> bool:
    try:
        char.encode(code)
    except UnicodeEncodeError:
        return False
    return True


@cache
def _quick() -> Any:
    """Lingua's trigrams of all 21 languages: 10 MB and half a second to load."""
    return _builder(language.iso for language in LANGUAGES.values()).with_low_accuracy_mode().build()


@cache
def _close(first: str, second: str) -> Any:
    """Lingua's full models of two languages: 20 to 50 MB each, loaded when first asked for."""
    return _builder((first, second)).build()


def _builder(isos: Iterable[str]) -> Any:
    from lingua import IsoCode639_1, Language, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, iso.upper()) for iso in isos]
    return LanguageDetectorBuilder.from_languages(*map(Language.from_iso_code_639_1, codes))
