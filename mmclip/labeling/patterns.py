"""The pattern language of the rules, and finding all patterns in a sentence at once.

A pattern is a sequence of words, separated by spaces:

=============  =====================================================================================
``effusion``   this word (lower case; marks such as ``,`` and ``?`` are words too)
``consolid*``  any word that begins so
``(a|b c)``    one of several
``[a|b]``      one of several, or nothing
``~3``         up to three words, whichever (never marks)
=============  =====================================================================================

All patterns are joined into one automaton over words, which is walked from every word of the sentence. A pattern has
no loops, so a walk is no longer than the longest pattern and the time is linear in the length of the text, whatever
the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from mmclip.errors import UserError

_PART = re.compile(r"\s*(?:([()\[\]|])|~(\d)|([^\s()\[\]|~]+))")
_REMEMBERED_WORDS = 50_000
_REMEMBERED_LENGTH = 40
"""Bounds on the memory for words already seen: how many, and of what length."""


class Match(NamedTuple):
    """Words ``start`` to ``end`` (exclusive) match a pattern of the rule numbered `rule`."""

    start: int
    end: int
    rule: int


class _Piece(NamedTuple):
    """A part of a pattern: a word; or a group of alternatives; or a gap of at most `gap` words."""

    word: str = ""
    alternatives: tuple[tuple[_Piece, ...], ...] = ()
    optional: bool = False
    gap: int = 0

    @property
    def may_be_empty(self) -> bool:
        """Whether it can match no word at all."""
        return self.optional or self.gap > 0 or (not self.word and any(map(_may_be_empty, self.alternatives)))


def _may_be_empty(sequence: tuple[_Piece, ...]) -> bool:
    return all(piece.may_be_empty for piece in sequence)


def parse(pattern: str) -> tuple[_Piece, ...]:
    """Read a pattern.

    Raises:
        UserError: it cannot be read, or may match nothing at all.
    """
    parts: list[tuple[str, str, str]] = []
    at = 0
    while pattern[at:].strip():
        match = _PART.match(pattern, at)
        if match is None:
            raise UserError(f"labeling rules: pattern {pattern!r}: cannot be read from {pattern[at:]!r}")
        parts.append((match[1] or "", match[2] or "", match[3] or ""))
        at = match.end()
    alternatives = _alternatives(iter(parts), "", pattern)
    if len(alternatives) != 1:
        raise UserError(f"labeling rules: pattern {pattern!r}: '|' belongs inside brackets")
    if _may_be_empty(alternatives[0]):
        raise UserError(f"labeling rules: pattern {pattern!r} may match nothing; one word must not be optional")
    return alternatives[0]


def _alternatives(parts: Iterator[tuple[str, str, str]], closing: str, pattern: str) -> tuple[tuple[_Piece, ...], ...]:
    """What stands between brackets, up to `closing`."""
    found: list[list[_Piece]] = [[]]
    for mark, gap, word in parts:
        if mark == "|":
            found.append([])
        elif mark in ("(", "["):
            inner = _alternatives(parts, ")" if mark == "(" else "]", pattern)
            found[-1].append(_Piece(alternatives=inner, optional=mark == "["))
        elif mark == closing and mark:
            return _checked(found, pattern)
        elif mark:
            raise UserError(f"labeling rules: pattern {pattern!r}: brackets do not match at {mark!r}")
        else:
            found[-1].append(_Piece(word=word, gap=int(gap or 0)))
    if closing:
        raise UserError(f"labeling rules: pattern {pattern!r}: a bracket is not closed")
    return _checked(found, pattern)


def _checked(alternatives: list[list[_Piece]], pattern: str) -> tuple[tuple[_Piece, ...], ...]:
    if not all(alternatives):
        raise UserError(f"labeling rules: pattern {pattern!r} holds an empty alternative")
    return tuple(tuple(alternative) for alternative in alternatives)


class _Node:
    __slots__ = ("any", "next", "rules")

    def __init__(self) -> None:
        self.next: dict[str, list[_Node]] = {}
        self.any: list[_Node] = []
        self.rules: list[int] = []


class Matcher:
    """All patterns of a set of rules, ready to be found together.

    Args:
        patterns: for each rule its patterns; a match names the rule by its number in this order.
    """

    def __init__(self, patterns: Iterable[Sequence[str]]) -> None:
        self._root = _Node()
        self._literal: set[str] = set()
        self._stems: set[str] = set()
        self._symbols: dict[str, tuple[str, ...]] = {}
        for rule, rule_patterns in enumerate(patterns):
            for pattern in rule_patterns:
                for node in self._sequence(parse(pattern), [self._root], None):
                    node.rules.append(rule)
                if self._root.any:
                    raise UserError(f"labeling rules: pattern {pattern!r} may begin with a gap; put a word before it")
        self._lengths = sorted({len(stem) for stem in self._stems})

    def _sequence(self, pieces: Sequence[_Piece], front: list[_Node], end: _Node | None) -> list[_Node]:
        """Append pieces behind the nodes of `front`; returns the nodes after them, `end` being the last where it can.

        Apart from the root, no node is shared with another pattern.
        """
        for number, piece in enumerate(pieces):
            after = (end if number == len(pieces) - 1 else None) or _Node()
            if piece.gap:
                front = self._gap(piece.gap, front)
            elif piece.word:
                (self._stems if piece.word.endswith("*") else self._literal).add(piece.word.removesuffix("*"))
                for node in front:
                    node.next.setdefault(piece.word, []).append(after)
                front = [after]
            else:
                ways = [self._sequence(alternative, front, after) for alternative in piece.alternatives]
                front = list(dict.fromkeys([*(n for way in ways for n in way), *(front if piece.optional else [])]))
        return front

    @staticmethod
    def _gap(gap: int, front: list[_Node]) -> list[_Node]:
        behind = [_Node() for _ in range(gap)]
        for node in front:
            node.any.append(behind[0])
        for left, right in pairwise(behind):
            left.any.append(right)
        return [*front, *behind]

    def _symbols_of(self, word: str) -> tuple[str, ...]:
        """The word itself and the stems it begins with, as far as patterns use them."""
        found = self._symbols.get(word)
        if found is None:
            stems = [f"{word[:n]}*" for n in self._lengths if n <= len(word) and word[:n] in self._stems]
            found = (word, *stems) if word in self._literal else tuple(stems)
            if len(word) <= _REMEMBERED_LENGTH:
                if len(self._symbols) >= _REMEMBERED_WORDS:
                    self._symbols.clear()
                self._symbols[word] = found
        return found

    def find(self, words: Sequence[str]) -> list[Match]:
        """Every match of every rule; matches may overlap, and of one rule too."""
        matches: set[Match] = set()
        symbols = [self._symbols_of(word) for word in words]
        first, count = self._root.next, len(words)
        for start, here in enumerate(symbols):
            walks = [(node, start + 1) for symbol in here if symbol in first for node in first[symbol]]
            while walks:
                node, at = walks.pop()
                for rule in node.rules:
                    matches.add(Match(start, at, rule))
                if at < count:
                    if node.next:
                        for symbol in symbols[at]:
                            if symbol in node.next:
                                walks.extend([(after, at + 1) for after in node.next[symbol]])
                    if node.any and words[at].isalnum():
                        walks.extend([(after, at + 1) for after in node.any])
        return list(matches)


def longest(matches: Iterable[Match]) -> list[Match]:
    """Of overlapping matches the leftmost; of those with one start the longest; then the earlier rule."""
    chosen: list[Match] = []
    for match in sorted(matches, key=lambda m: (m.start, -m.end, m.rule)):
        if not chosen or match.start >= chosen[-1].end:
            chosen.append(match)
    return chosen
