"""Faults for the phrase book's translations, of the kinds that real engines make, each known and written down.

Whether a sentence of a report becomes faulty, and how, is a pure function of (seed, language, sentence, study, index):
the same report always has the same faults, whatever else is translated. A kind is drawn among those that would really
change this sentence's meaning or form.
"""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from mmclip.config.translation import FaultKind, Faults
from mmclip.languages import ENGLISH, LANGUAGES
from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook import Frame, Value

_NEGATIONS = re.compile(r"\b(?:no|not|without|nor|none|never|neither|absent|absence|negative|free of)\b", re.IGNORECASE)
_WEIGHTS: dict[FaultKind, float] = {"drop_negation": 3.0, "swap_side": 6.0, "change_number": 12.0}
"""How much rather a kind is drawn than the others: few sentences have a side or a number, and yet each kind has to
occur often enough for its detection to be measured."""
_OTHER_SIDE = {"left": "right", "right": "left"}
_FINAL = ".。।۔!?"


@dataclass(frozen=True)
class Sentence:
    """A sentence of the phrase book as an engine meets it.

    Attributes:
        source: in English.
        translation: the right one.
        language: of the translation.
        frame, slots: what it was made from.
    """

    source: str
    translation: str
    language: str
    frame: Frame
    slots: dict[str, Value]


def inject(
    settings: Faults, seed: int, language: str, source: str, translation: str, study_id: str, index: int
) -> tuple[str, FaultKind] | None:
    """The faulty translation of one sentence of one study with its kind; None where it stays right.

    `translation` is the right one. A sentence that is not in the phrase book stays as it is.
    """
    key = f"{seed}\0{language}\0{source}\0{study_id}\0{index}".encode()
    number = int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big")
    if (number >> 64) / 2**64 >= settings.rate or source not in _origins():
        return None
    frame, slots = _origins()[source]
    sentence = Sentence(source, translation, language, frame, slots)
    rng = random.Random(number)
    for kind in sorted(settings.kinds, key=lambda kind: rng.expovariate(_WEIGHTS.get(kind, 1.0))):
        faulty = _FAULTS[kind](sentence, rng)
        if faulty is not None and faulty != translation:
            return faulty, kind
    return None


def loop(sentence: Sentence, rng: random.Random) -> str | None:
    """The decoder falls into a loop: the last few words (or characters) come again and again."""
    tokens, joiner, final = _tokens(sentence)
    unit = tokens[-rng.randint(1, min(4, len(tokens))) :] if joiner else tokens[-rng.randint(2, min(6, len(tokens))) :]
    return joiner.join(tokens + unit * rng.randint(4, 9)) + (final if rng.random() < 0.5 else "")


def truncate(sentence: Sentence, rng: random.Random) -> str | None:
    """The decoder stops early: the end of the sentence is missing, with its full stop."""
    tokens, joiner, _ = _tokens(sentence)
    least = 4 if joiner else 8
    if len(tokens) < least:
        return None
    return joiner.join(tokens[: max(least // 4, round(len(tokens) * rng.uniform(0.25, 0.6)))])


def drop_negation(sentence: Sentence, rng: random.Random) -> str | None:
    """The negation is lost: what was denied is stated."""
    denied = [name for name, state in sentence.frame.states.items() if state == 0]
    if not denied or len(denied) < len(sentence.frame.states) or not _NEGATIONS.search(sentence.source):
        return None
    stating = [
        frame
        for name in denied
        for frame in phrasebook.frames(role="training", finding=name)
        if frame.kind == "present" and all(state == 1 for state in frame.states.values())
    ]
    if not stating:
        return None
    plain = [frame for frame in stating if not frame.slots.keys() - {"severity"}] or stating
    frame = rng.choice(plain)
    return phrasebook.realise(sentence.language, frame.id, rng.choice(list(frame.fillings())))


def swap_side(sentence: Sentence, rng: random.Random) -> str | None:
    """Left becomes right, or right left."""
    other = _OTHER_SIDE.get(str(sentence.slots.get("side")))
    return other and phrasebook.realise(sentence.language, sentence.frame.id, {**sentence.slots, "side": other})


def change_number(sentence: Sentence, rng: random.Random) -> str | None:
    """One digit becomes another; a first digit never becomes a zero."""
    text = sentence.translation
    places = [i for i, character in enumerate(text) if unicodedata.decimal(character, None) is not None]
    if not places:
        return None
    place = rng.choice(places)
    value = unicodedata.decimal(text[place])
    changed = rng.choice([digit for digit in range(1, 10) if digit != value])
    return text[:place] + chr(ord(text[place]) - value + changed) + text[place + 1 :]


def copy(sentence: Sentence, rng: random.Random) -> str | None:
    """The source comes back untranslated."""
    return sentence.source


def wrong_language(sentence: Sentence, rng: random.Random) -> str | None:
    """The translation is right, in a language that nobody asked for."""
    others = [code for code in phrasebook.available() if code not in (ENGLISH, sentence.language)]
    return phrasebook.realise(rng.choice(others), sentence.frame.id, sentence.slots) if others else None


_FAULTS: dict[FaultKind, Callable[[Sentence, random.Random], str | None]] = {
    "loop": loop,
    "truncate": truncate,
    "drop_negation": drop_negation,
    "swap_side": swap_side,
    "change_number": change_number,
    "copy": copy,
    "wrong_language": wrong_language,
}


def _tokens(sentence: Sentence) -> tuple[list[str], str, str]:
    """Words (characters in Chinese and Japanese) without the final stop, what joins them, and that stop."""
    body = sentence.translation.rstrip(_FINAL)
    final = sentence.translation[len(body) :]
    if LANGUAGES[sentence.language].tokens == "character":
        return list(body), "", final
    return body.split(), " ", final


@cache
def _origins() -> dict[str, tuple[Frame, dict[str, Value]]]:
    """English sentence -> the frame and slots that make it."""
    return {
        phrasebook.realise(ENGLISH, frame.id, slots): (frame, slots)
        for frame in phrasebook.frames()
        for slots in frame.fillings()
    }
