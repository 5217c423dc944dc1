"""Words, characters and a folded form of text, alike in all scripts."""

from __future__ import annotations

import re
import unicodedata

LETTER = r"[^\W\d_]"
"""A letter, for regular expressions; vowel signs and diacritics are :data:`MARKS`."""

MARKS = "\u0300-\u036f\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
"""Combining marks that belong to a word but that ``\\w`` does not match (inside a character class)."""

_WORD = re.compile(rf"(?:[^\W_]|[{MARKS}])+")
_CHARACTER = re.compile(rf"\d+|[a-z\u00c0-\u024f]+|[^\W_]|[{MARKS}]")

_DROPPED = {
    ord(char): None
    for char in "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u00ad\ufeff\u0640"
} | dict.fromkeys((*range(0x064B, 0x0660), 0x0670))
"""Invisible characters, Arabic vowel marks and the tatweel: spelling variants of the same word."""

_ALIKE = str.maketrans(
    {
        "’": "'",
        "ʼ": "'",
        "‘": "'",
        "أ": "ا",
        "إ": "ا",
        "آ": "ا",
        "ٱ": "ا",
        "ى": "ي",
        "ی": "ي",
        "ک": "ك",
        "ة": "ه",
        "ۀ": "ه",
        "ँ": "ं",
        "ё": "е",
    }
)
_TURKISH = str.maketrans({"İ": "i", "I": "ı"})


def fold(text: str, language: str) -> str:
    """The text in the form in which cues are looked up: NFKC, case folded, spelling variants made one.

    Args:
        language: FLORES-200 code; Turkish has its own case rules for i and ı.
    """
    text = unicodedata.normalize("NFKC", text)
    if language == "tur_Latn":
        text = text.translate(_TURKISH)
    text = unicodedata.normalize("NFKC", text.casefold())
    return text.translate(_DROPPED).translate(_ALIKE)


def words(folded: str) -> list[str]:
    """Runs of letters, digits and marks of a folded text."""
    return _WORD.findall(folded)


def characters(folded: str) -> list[str]:
    """The tokens of Chinese and Japanese: letters one by one, but a number or a Latin word as one."""
    return _CHARACTER.findall(folded)


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script (Arabic-Indic, Persian, Devanagari, full width) as 0 to 9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
