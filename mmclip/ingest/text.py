"""Text as it arrives: its encoding, and characters that have no business in a report."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and the marks that reorder the text around them (Unicode's Bidi_Control): text is stored in
reading order without them."""

SIZE_LIMIT = 4_000_000
"""Bytes of the longest report file; a report has some thousand."""


def decode(data: bytes) -> str:
    """Text of a report file: UTF-8 with or without byte order mark, else Latin-1 (Windows' form of it where valid).

    Raises:
        ValueError: it is UTF-16, or holds NUL bytes: not text of one byte a character.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data:
        raise ValueError("neither UTF-8 nor Latin-1 text")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def read_report(path: Path) -> str:
    """The text of a report file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file, not text, or longer than :data:`SIZE_LIMIT`.
    """
    if not path.is_file():
        raise ValueError("a folder or a pipe")
    if path.stat().st_size > SIZE_LIMIT:
        raise ValueError("longer than a report")
    return decode(path.read_bytes())


def clean(text: str) -> tuple[str, int]:
    """Text in Unicode's composed form (NFC) with plain line ends, without control and direction characters.

    Returns:
        The text, and how many characters were removed (line ends of other systems not counted).
    """
    kept, removed = _UNWANTED.subn("", _LINE_END.sub("\n", text))
    return unicodedata.normalize("NFC", kept), removed
