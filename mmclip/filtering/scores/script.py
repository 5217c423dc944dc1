"""Whether a translation is written in its language's script, and readable at all."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np

from mmclip.filtering.pairs import Pairs
from mmclip.languages import LANGUAGES

_SCRIPTS = {
    "Latn": ("LATIN",),
    "Cyrl": ("CYRILLIC",),
    "Arab": ("ARABIC",),
    "Deva": ("DEVANAGARI",),
    "Hang": ("HANGUL",),
    "Hans": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
}
"""Script (ISO 15924) -> first words of its letters' Unicode names."""

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNREADABLE = re.compile(r"[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f]+")


@cache
def _script(char: str) -> str:
    name = unicodedata.name(char, "")
    return name.removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ").split(" ")[0]


def script_share(pairs: Pairs) -> np.ndarray:
    """Letters in the language's script / letters, 0 to 1; low is bad. 1 where there is no letter.

    Latin abbreviations (CT, PICC) are usual in every language, so the threshold cannot be 1.
    """
    names = _SCRIPTS[LANGUAGES[pairs.language].script]
    out = np.ones(len(pairs))
    for row, text in enumerate(pairs.translations):
        scripts = [_script(char) for char in text if char.isalpha()]
        if scripts:
            out[row] = sum(script in names for script in scripts) / len(scripts)
    return out


def mojibake(pairs: Pairs) -> np.ndarray:
    """Runs of characters that come from the wrong decoding of UTF-8, or stand for what no decoder knew; high is bad."""
    return np.array([unreadable_runs(text) for text in pairs.translations], dtype=float)


def unreadable_runs(text: str) -> int:
    """Runs beyond ASCII that are valid UTF-8 when taken back to the bytes of a one-byte code, and runs of U+FFFD.

    "neumotÃ³rax" was UTF-8 read as Windows-1252, "РЅРµС‚" was read as Windows-1251. A whole run must decode: real
    words practically never do.
    """
    runs = sum(1 for run in _BEYOND_ASCII.findall(text) if any(_decodes(run, code) for code in ("cp1252", "cp1251")))
    return runs + len(_UNREADABLE.findall(text))


def _decodes(run: str, code: str) -> bool:
    try:
        taken_back = b"".join(char.encode(code) if char not in _CONTROLS else char.encode("latin-1") for char in run)
        return len(taken_back.decode("utf-8")) < len(run)
    except UnicodeError:
        return False


_CONTROLS = frozenset(map(chr, range(0x80, 0xA0)))
"""What a lenient decoder makes of bytes that the code page leaves undefined."""
