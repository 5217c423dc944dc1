"""Cue words of a language: sides, negation, numbers in words, units; read from ``cues/<language>.yaml``.

An entry is a word or a phrase; a star stands for any letters (``izquierd*``, ``*frei``), ``kein*/ohne änderung*`` means
either of two words and then a third. Where the file says ``anywhere: true`` (languages that write or glue
words together) an entry matches inside a word too. A phrase under ``ignore`` holds a cue's letters but does not mean it
(``不张``): it is read first and uses them up. So does ``unchanged`` for negation and what implies it (``sin cambios``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import Field

from mmclip.config.base import Settings, load
from mmclip.filtering.tokens import MARKS, fold

FOLDER = Path(__file__).parent / "cues"

ABBREVIATIONS = {"left": ("lul", "lll", "luq"), "right": ("rul", "rml", "rll", "ruq")}
"""English abbreviations of lobes and quadrants, which stay as they are in many translations."""

_INSIDE = rf"[\w{MARKS}]"


class CueFile(Settings):
    """The content of one ``cues/<language>.yaml``.

    Attributes:
        language: FLORES-200 code.
        reviewed_by: the named person who reviewed the list, or empty.
        note: the notice that goes with an unreviewed list.
        length: letters and digits of a typical translation per letter or digit of its English source.
        anywhere: entries match inside words too.
        prefixes: what may be glued to the front of a word (Arabic article, conjunctions).
        left, right: words for one side; both: words for both at once.
        negation: words that deny.
        implied: words that say without a negation what another language says with one (clear, unremarkable): as a
            source's they may become a negation, as a translation's they may stand for one.
        unchanged: what says that nothing has changed, with a negation or without (unchanged, no change): it denies
            nothing else.
        abnormal: words for a change or an abnormality in general.
        no_abnormality: those of ``unchanged`` that also say that there is no abnormality (``bez zmian``).
        shared: words that the language spells as English does; in the English list, words that every language takes
            over (devices, Latin, names of signs).
        ignore: for left, right, both, negation, implied or shared: phrases that are none.
        numerals: number -> words for it.
        units: unit -> further ways to write it after a number.
    """

    language: str
    reviewed_by: str = ""
    note: str
    length: float = Field(gt=0)
    anywhere: bool = False
    prefixes: tuple[str, ...] = ()
    left: tuple[str, ...]
    right: tuple[str, ...]
    both: tuple[str, ...]
    negation: tuple[str, ...]
    implied: tuple[str, ...]
    unchanged: tuple[str, ...]
    abnormal: tuple[str, ...]
    no_abnormality: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    ignore: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    numerals: dict[int, tuple[str, ...]] = Field(default_factory=dict)
    units: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Matcher:
    """Finds the words of one list in folded text."""

    pattern: re.Pattern[str]

    def __call__(self, folded: str) -> bool:
        """Whether any entry occurs, ignored phrases apart."""
        return any(match.lastgroup == "cue" for match in self.pattern.finditer(folded))


@dataclass(frozen=True)
class Cues:
    """The matchers of one language; the lists are those of :class:`CueFile`.

    ``negation``, ``implied`` and ``abnormal`` do not see what ``unchanged`` matches; ``literal_negation`` does.
    """

    length: float
    left: Matcher
    right: Matcher
    both: Matcher
    negation: Matcher
    literal_negation: Matcher
    implied: Matcher
    unchanged: Matcher
    abnormal: Matcher
    no_abnormality: Matcher
    shared: Matcher
    numerals: dict[str, Matcher]
    units: dict[str, str]


@cache
def cues(language: str) -> Cues:
    """The cue words of a FLORES-200 code."""
    content = load(CueFile, FOLDER / f"{language}.yaml")

    def matcher(name: str, used_up: tuple[str, ...] = ()) -> Matcher:
        entries = (*getattr(content, name), *ABBREVIATIONS.get(name, ()))
        return _matcher(entries, (*content.ignore.get(name, ()), *used_up), content)

    return Cues(
        length=content.length,
        left=matcher("left"),
        right=matcher("right"),
        both=matcher("both"),
        negation=matcher("negation", content.unchanged),
        literal_negation=matcher("negation"),
        implied=matcher("implied", content.unchanged),
        unchanged=matcher("unchanged"),
        abnormal=matcher("abnormal", content.unchanged),
        no_abnormality=matcher("no_abnormality"),
        shared=matcher("shared"),
        numerals={str(number): _matcher(entries, (), content) for number, entries in content.numerals.items()},
        units={
            fold(written, language) + ("*" if content.anywhere else ""): unit
            for unit, entries in content.units.items()
            for written in entries
        },
    )


def _matcher(entries: tuple[str, ...], ignored: tuple[str, ...], content: CueFile) -> Matcher:
    # ignored phrases come first: where both start at the same letter, the phrase wins
    return Matcher(re.compile(f"(?P<ignored>{_any(ignored, content)})|(?P<cue>{_any(entries, content)})"))


def _any(entries: tuple[str, ...], content: CueFile) -> str:
    """A pattern of any of the entries, the longest first; one that matches nothing where there are none."""
    folded = sorted((fold(entry, content.language) for entry in entries), key=len, reverse=True)
    return "|".join(_entry(entry, content) for entry in folded) or r"(?!)"


def _entry(entry: str, content: CueFile) -> str:
    parts = entry.split()
    if content.anywhere:
        return r"\s+".join(re.escape(part) for part in parts)
    body = r"\s+".join(f"(?:{'|'.join(_word(word) for word in part.split('/'))})" for part in parts)
    return rf"(?<!{_INSIDE})" + ("" if entry.startswith("*") else _prefix(content)) + body + rf"(?!{_INSIDE})"


def _word(word: str) -> str:
    """A word of an entry; a star stands for any letters."""
    return f"{_INSIDE}*".join(map(re.escape, word.split("*")))


def _prefix(content: CueFile) -> str:
    glued = "|".join(re.escape(fold(prefix, content.language)) for prefix in content.prefixes)
    return f"(?:{glued})?" if glued else ""
