"""Words and marks of a sentence, with their places in the original text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import normalize

_TOKEN = re.compile(
    r"\b[wsrch]/[opw]\b"  # w/o, s/p, r/o, c/w, h/o: written with a slash, one word each
    r"|[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*(?:'[^\W_]+)?"  # a word or a number, with loose accents and apostrophe
    r"|[^\w\s]",  # one mark
    re.IGNORECASE,
)

_ACCENTS = re.compile(r"[\u0300-\u036f]+")
_HYPHENS = frozenset("-‐‑")
_DASHES = {"–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "’": "'"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised text: ``words[i]`` (lower case, without accents) stands at ``text[starts[i]:ends[i]]``."""

    words: list[str]
    starts: list[int]
    ends: list[int]


def tokenize(text: str) -> Tokens:
    """Split `text` into lower-case words without accents and single marks, in linear time.

    A hyphen inside a word is dropped, so that "air-space" and "air space" are the same two words; a dash between
    spaces stays as the mark ``-``.
    """
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        word = match[0].lower()
        if not word.isascii():
            word = plain(word)
        if word in _DASHES:
            word = _DASHES[word]
        if word in _HYPHENS and text[start - 1 : start].isalnum() and text[end : end + 1].isalnum():
            continue
        words.append(word)
        starts.append(start)
        ends.append(end)
    return Tokens(words, starts, ends)


def plain(word: str) -> str:
    """The word without accents: reports write "neumotórax" with them and without."""
    return _ACCENTS.sub("", normalize("NFD", word))
