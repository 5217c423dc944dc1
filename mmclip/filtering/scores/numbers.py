"""Numbers and units of measurement must survive translation."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from mmclip.filtering.cues import Cues, cues
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.tokens import ascii_digits

# a no-break space groups digits in French and Russian
_SEPARATORS = str.maketrans({"٫": ".", "٬": ",", "،": ",", "，": ",", "．": ".", "\u00a0": "", "\u202f": ""})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[.,]\d{3})+")
_UNITS = ("mm", "cm", "ml", "kg", "mg", "%", "°")


def numbers(text: str) -> Counter[str]:
    """The numbers in a text, in any script's digits, as a canonical decimal and how often each occurs.

    2,50 and 2.5 and ٢٫٥ are one number; so are 1,000 and 1.000 and 1000 (a group of three digits after a number that
    does not begin with 0 is read as thousands, in source and translation alike). A date's parts count singly, since
    languages order them differently.
    """
    found: Counter[str] = Counter()
    for match in _NUMBER.findall(_plain(text)):
        found.update(_canonical(match))
    return found


def _plain(text: str) -> str:
    return ascii_digits(text).translate(_SEPARATORS)


def _canonical(number: str) -> list[str]:
    if _THOUSANDS.fullmatch(number):
        return [re.sub(r"[.,]", "", number)]
    parts = re.split(r"[.,]", number)
    if len(parts) == 2:
        whole, fraction = parts[0].lstrip("0") or "0", parts[1].rstrip("0")
        return [f"{whole}.{fraction}" if fraction else whole]
    return [part.lstrip("0") or "0" for part in parts]


def kept_numbers(pairs: Pairs) -> np.ndarray:
    """Numbers that agree / numbers on the side that has more, 0 to 1; low is bad. 1 where neither side has any.

    A number in figures that the other side spells out (7th rib, séptima costilla) agrees.
    """
    source_cues, translation_cues = cues(pairs.source_language), cues(pairs.language)
    out = np.ones(len(pairs))
    for row, (source, translation) in enumerate(zip(pairs.sources, pairs.translations, strict=True)):
        before, after = numbers(source), numbers(translation)
        if before == after:
            continue
        lost, added = before - after, after - before
        spelled = _spelled(lost, pairs.folded_translations[row], translation_cues)
        spelled += _spelled(added, pairs.folded_sources[row], source_cues)
        agree = (before & after).total() + spelled
        out[row] = agree / max((before | after).total(), 1)
    return out


def _spelled(numbers: Counter[str], folded: str, language: Cues) -> int:
    return sum(
        count for number, count in numbers.items() if number in language.numerals and language.numerals[number](folded)
    )


def units(folded: str, language: Cues) -> set[str]:
    """The units that stand after a number in a folded text, by their common name."""
    plain = _plain(folded)
    found = set()
    for match in re.finditer(r"\d[\s-]*", plain):
        after = plain[match.end() : match.end() + 16]
        written = [spelling for spelling in (*_UNITS, *language.units) if _stands(spelling, after)]
        if written:
            longest = max(written, key=len)
            found.add(language.units.get(longest, longest))
    return found


def _stands(spelling: str, text: str) -> bool:
    stem = spelling.rstrip("*")
    following = text[len(stem) : len(stem) + 1]
    ended = not following.isalpha() or following.isascii() != stem.isascii()  # a Japanese particle may follow "mm"
    return text.startswith(stem) and (stem != spelling or ended)


def kept_units(pairs: Pairs) -> np.ndarray:
    """Units of measurement on both sides / units on either side, 0 to 1; low is bad. 1 where neither has any."""
    source_cues, translation_cues = cues(pairs.source_language), cues(pairs.language)
    out = np.ones(len(pairs))
    for row, (source, translation) in enumerate(zip(pairs.folded_sources, pairs.folded_translations, strict=True)):
        before, after = units(source, source_cues), units(translation, translation_cues)
        if before != after:
            out[row] = len(before & after) / len(before | after)
    return out
