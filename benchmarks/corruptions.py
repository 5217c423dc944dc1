"""Faulty translations of known kinds, and right ones in other words, made from the phrase book.

Each family takes a right translation and returns a faulty one, or None where the sentence has nothing to spoil. They
are made anew here and not by the stage that injects faults into the demo, which knows fewer kinds.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from mmclip.languages import ENGLISH, LANGUAGES
from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook import Frame, Value

OTHER_SIDE = {"left": "right", "right": "left"}


@dataclass(frozen=True)
class Sentence:
    """A sentence of the phrase book with its right translation.

    Attributes:
        role: ``training`` or ``held_out``: whether its wording occurs in the phantom's reports.
    """

    language: str
    frame: Frame
    slots: dict[str, Value]
    source: str
    translation: str

    @property
    def role(self) -> str:
        """``training`` or ``held_out``."""
        return self.frame.role

    @property
    def joiner(self) -> str:
        """What stands between two tokens of the translation."""
        return "" if LANGUAGES[self.language].tokens == "character" else " "


@cache
def sentences(language: str) -> list[Sentence]:
    """Every frame of the phrase book with every filling of its slots."""
    return [
        Sentence(
            language,
            frame,
            slots,
            phrasebook.realise(ENGLISH, frame.id, slots),
            phrasebook.realise(language, frame.id, slots),
        )
        for frame in phrasebook.frames()
        for slots in frame.fillings()
    ]


def loop(sentence: Sentence, rng: random.Random) -> str | None:
    """The last one to four tokens come again, three to eight times."""
    tokens = list(sentence.translation[:-1]) if not sentence.joiner else sentence.translation[:-1].split()
    n = rng.randint(1, min(4, len(tokens)))
    return sentence.joiner.join(tokens + tokens[-n:] * rng.randint(3, 8)) + "."


def letter_loop(sentence: Sentence, rng: random.Random) -> str | None:
    """One or two letters come again and again."""
    cut = rng.randint(2, len(sentence.translation) - 1)
    unit = sentence.translation[cut - rng.randint(1, 2) : cut]
    return sentence.translation[:cut] + unit * rng.randint(5, 20) if unit.isalpha() else None


def truncate(sentence: Sentence, rng: random.Random) -> str | None:
    """A fifth to two thirds are left, up to the end of a word; not of sentences that are very short."""
    text = sentence.translation
    cut = round(len(text) * rng.uniform(0.2, 0.65))
    if len(text) < (20 if sentence.joiner else 8):
        return None
    if not sentence.joiner:
        return text[:cut]
    return text[:cut].rsplit(" ", 1)[0] if " " in text[:cut] else None


def negation(sentence: Sentence, rng: random.Random) -> str | None:
    """What is denied is stated."""
    frame = sentence.frame
    if frame.kind != "absent":
        return None
    present = phrasebook.frames(finding=frame.finding, kind="present")
    plain = [other for other in present if other.slots.keys() <= {"severity"}]
    return phrasebook.realise(sentence.language, rng.choice(plain).id, {"severity": "mild"})


def side(sentence: Sentence, rng: random.Random) -> str | None:
    """Left becomes right, or right left."""
    other = OTHER_SIDE.get(str(sentence.slots.get("side")))
    return other and phrasebook.realise(sentence.language, sentence.frame.id, {**sentence.slots, "side": other})


def number(sentence: Sentence, rng: random.Random) -> str | None:
    """The first digit becomes another."""
    found = re.search(r"\d", sentence.translation)
    if found is None:
        return None
    digit = str((int(found[0]) + rng.randint(1, 8)) % 10)
    return sentence.translation[: found.start()] + digit + sentence.translation[found.end() :]


def copy(sentence: Sentence, rng: random.Random) -> str | None:
    """The source comes back."""
    return sentence.source


def word_left(sentence: Sentence, rng: random.Random) -> str | None:
    """One word of the translation is the source's instead: one that no right translation into the language holds."""
    text, ours = sentence.translation, _vocabulary(sentence.language)
    english: list[str] = [word for word in re.findall(r"[a-z]{4,}", sentence.source.casefold()) if word not in ours]
    if not english:
        return None
    if not sentence.joiner:
        cut = rng.randrange(max(1, len(text) - 2))
        return text[:cut] + rng.choice(english) + text[cut + 2 :]
    tokens = text.split()
    place = rng.choice([row for row, token in enumerate(tokens) if len(token) > 3] or [0])
    return " ".join([*tokens[:place], rng.choice(english), *tokens[place + 1 :]])


@cache
def _vocabulary(language: str) -> frozenset[str]:
    """Every run of Latin letters in a right translation."""
    return frozenset(word for one in sentences(language) for word in re.findall("[a-z]+", one.translation.casefold()))


def wrong_language(sentence: Sentence, rng: random.Random) -> str | None:
    """The right translation into one of the other 19 languages."""
    others = [code for code in phrasebook.available() if code not in (ENGLISH, sentence.language)]
    return phrasebook.realise(rng.choice(others), sentence.frame.id, sentence.slots)


def mojibake(sentence: Sentence, rng: random.Random) -> str | None:
    """UTF-8 read as Windows-1252 or Latin-1."""
    if sentence.translation.isascii():
        return None
    return sentence.translation.encode().decode(rng.choice(["cp1252", "latin-1"]), errors="replace")


def empty(sentence: Sentence, rng: random.Random) -> str | None:
    """Nothing, or nothing but punctuation."""
    return rng.choice(["", " ", ".", "—"])


def other_report(sentence: Sentence, rng: random.Random) -> str | None:
    """The translation of another sentence, which says something else."""
    other = rng.choice(sentences(sentence.language))
    return other.translation if other.frame.states != sentence.frame.states else None


def synonyms(sentence: Sentence, rng: random.Random) -> str | None:
    """A right translation in other words: another frame that says the same of the same sides and sizes.

    Only where the two are about as long in English, or one says more; and not of doubts, which one frame puts as
    "possible" and another as "cannot be excluded".
    """
    if sentence.frame.kind == "uncertain":
        return None
    same = [
        other
        for other in phrasebook.frames(kind=sentence.frame.kind, finding=sentence.frame.finding)
        if other.id != sentence.frame.id
        and other.states == sentence.frame.states
        and other.slots.keys() == sentence.frame.slots.keys()
        and all(sentence.slots[slot] in values for slot, values in other.slots.items())
        and 0.6 <= len(phrasebook.realise(ENGLISH, other.id, sentence.slots)) / len(sentence.source) <= 1.6
    ]
    return phrasebook.realise(sentence.language, rng.choice(same).id, sentence.slots) if same else None


Family = Callable[[Sentence, random.Random], str | None]

FAULTS: tuple[Family, ...] = (
    *(loop, letter_loop, truncate, negation, side, number, copy, word_left, wrong_language, mojibake, empty),
    other_report,
)
"""What has to be rejected."""

RIGHT: tuple[Family, ...] = (synonyms,)
"""What has to pass."""


def corrupted(language: str, families: tuple[Family, ...], each: int) -> Iterator[tuple[str, Sentence, str]]:
    """(family, sentence, its changed translation): up to `each` of every family and role, drawn by the language."""
    rng = random.Random(language)
    book = sentences(language)
    for family in families:
        left = {"training": each, "held_out": each}
        for sentence in rng.sample(book, len(book)):
            text = family(sentence, rng) if left[sentence.role] else None
            if text is not None and text != sentence.translation:
                left[sentence.role] -= 1
                yield family.__name__, sentence, text
