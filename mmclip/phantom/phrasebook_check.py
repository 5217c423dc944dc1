"""What makes a language's phrase book unfit for use: each check gives a line a problem, with frame and remedy.

Structure is checked first; the checks of realised sentences run only on a book in which every sentence can be written.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import yaml

from mmclip import languages
from mmclip.languages import ENGLISH
from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook import NUMBERS, Frame, Wording

NOTE = "machine-written, not reviewed by a native radiologist"

FULL_STOP: dict[str, str] = {"Hans": "。", "Jpan": "。", "Deva": "।"}
"""What ends a sentence in a script, where it is not ``.``."""

DECIMAL_POINT = frozenset({"eng_Latn", "hin_Deva", "zho_Hans", "jpn_Jpan", "kor_Hang"})
"""Languages that write 2.4; Arabic and Persian take ``.``, ``,`` or ``٫``; the others write 2,4."""

SCRIPTS: dict[str, tuple[str, ...]] = {
    "Latn": ("LATIN",),
    "Cyrl": ("CYRILLIC",),
    "Arab": ("ARABIC",),
    "Deva": ("DEVANAGARI",),
    "Hans": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Hang": ("HANGUL",),
}
"""How the Unicode names of a script's letters begin."""

SCRIPT_SHARE = 0.7
"""Least share of a template's letters in the language's script: leaves room for a unit or an abbreviation."""

_TERMINATORS = re.compile(r"[.!?。！？।۔؟](?=\s|$)|[。！？।۔؟]")
_WORD_MARKS = "\u200c\u200d"
"""Zero-width joiners, which Persian and Hindi write inside a word."""


def problems(language: str) -> list[str]:
    """Every problem of the language's phrase book, as ``language: frame: what is wrong``."""
    book = phrasebook.wording(language)
    found = [*_twice(book), *_types(book)] or [*_header(language, book), *_forms(book), *_templates(language, book)]
    if not found:
        found = [*_sentences(language), *_function(language), *_held_out(language)]
    return [f"{language}: {line}" for line in found]


def words(sentence: str, language: str) -> list[str]:
    """The units of a sentence that a held-out sentence may not have alone: case-folded words, or characters.

    Punctuation and numbers are dropped; an apostrophe or a hyphen separates. Chinese and Japanese give characters.
    """
    text = unicodedata.normalize("NFC", sentence)
    if language == "tur_Latn":
        text = text.replace("İ", "i").replace("I", "ı")
    kept = "".join(c if unicodedata.category(c)[0] in "LM" or c in _WORD_MARKS else " " for c in text.casefold())
    if languages.language(language).tokens == "character":
        return [c for c in kept if c != " "]
    return kept.split()


def _twice(book: Wording) -> Iterator[str]:
    """Keys that stand twice in the file, of which YAML silently takes the last."""
    todo: list[yaml.Node | None] = [yaml.compose(book.path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)]
    while todo:
        node = todo.pop()
        if isinstance(node, yaml.MappingNode):
            todo += [value for _, value in node.value]
            keys = Counter(key.value for key, _ in node.value)
            yield from (f"{key}: stands twice in the file" for key, times in keys.items() if times > 1)


def _types(book: Wording) -> Iterator[str]:
    for table, forms in book.forms.items():
        if not isinstance(forms, dict):
            yield f"forms.{table}: must map each value of the slot to a text"
        else:
            texts = ((f"forms.{table}.{value}", text) for value, text in forms.items())
            yield from (f"{key}: {text!r} is not a text; quote it" for key, text in texts if not isinstance(text, str))
    for name, text in book.frames.items():
        if not isinstance(text, str):
            yield f"{name}: {text!r} is not a text; quote it"


def _header(language: str, book: Wording) -> Iterator[str]:
    if book.raw.get("language") != language:
        yield f"language is {book.raw.get('language')!r}, but the file is named {language}.yaml"
    for key in sorted(set(book.raw) ^ {"language", "reviewed_by", "note", "decimal", "forms", "frames"}):
        yield f"key {key!r} is {'not known' if key in book.raw else 'missing'}"
    if not isinstance(book.raw.get("reviewed_by"), str):
        yield 'reviewed_by must be a text, "" until a named person has reviewed the file'
    if not book.reviewed_by and book.note != NOTE:
        yield f"note must be {NOTE!r} while reviewed_by is empty"
    allowed = ".,٫" if language in ("arb_Arab", "pes_Arab") else "." if language in DECIMAL_POINT else ","
    if not isinstance(book.decimal, str) or len(book.decimal) != 1 or book.decimal not in allowed:
        yield f"decimal is {book.decimal!r}; the language writes {' or '.join(allowed)}"


def _forms(book: Wording) -> Iterator[str]:
    domains = {slot: values for entry in phrasebook.frames() for slot, values in _domain(entry).items()}
    used = {table for template in book.frames.values() for _, table in phrasebook.placeholders(template) if table}
    for table, forms in book.forms.items():
        slot = str(table).split(".")[0]
        if slot not in domains or "." not in str(table):
            yield f"forms.{table}: a table is named <slot>.<variant>, with a slot of {', '.join(sorted(domains))}"
            continue
        if table not in used:
            yield f"forms.{table}: no frame uses it"
        for value, text in forms.items():
            if value not in domains[slot]:
                yield f"forms.{table}: {value!r} is no value of {slot} ({', '.join(domains[slot])})"
            yield from (f"forms.{table}.{value}: {problem}" for problem in _text(text))
        twice = [text for text, times in Counter(forms.values()).items() if times > 1]
        yield from (f"forms.{table}: {text!r} stands for two values" for text in twice)


def _domain(entry: Frame) -> dict[str, list[str]]:
    every = phrasebook.slot_values()
    return {slot: every[slot] for slot in entry.slots if slot not in NUMBERS}


def _text(text: str) -> Iterator[str]:
    if not text.strip():
        yield "is empty"
    elif text != " ".join(text.split()):
        yield "has spaces at an end or twice in a row"
    elif text != unicodedata.normalize("NFC", text):
        yield "is not in Unicode's normal form C"


def _templates(language: str, book: Wording) -> Iterator[str]:
    known = {entry.id for entry in phrasebook.frames()}
    yield from (f"{name}: the frame is missing" for name in sorted(known - set(book.frames)))
    yield from (f"{name}: no such frame in frames.yaml" for name in sorted(set(book.frames) - known))
    for entry in phrasebook.frames():
        template = book.frames.get(entry.id)
        if template is None:
            continue
        found = list(_text(template)) or [*_slots(entry, book, template), *_writing(language, entry, template)]
        yield from (f"{entry.id}: {problem}" for problem in found)
    twice = [text for text, times in Counter(book.frames.values()).items() if times > 1]
    for text in twice:
        yield f"{', '.join(name for name, other in book.frames.items() if other == text)}: the same text"


def _slots(entry: Frame, book: Wording, template: str) -> Iterator[str]:
    found = phrasebook.placeholders(template)
    names = sorted(slot for slot, _ in found)
    if names != sorted(entry.slots):
        yield f"has the slots {names}, must have each of {sorted(entry.slots)} once"
        return
    if template.count("{") != len(found) or template.count("}") != len(found):
        yield "has a brace that is no placeholder {slot.variant}"
    for slot, table in found:
        if (slot in NUMBERS) == bool(table):
            yield f"{{{table or slot}}} must be {'{' + slot + '}' if slot in NUMBERS else '{' + slot + '.<variant>}'}"
        elif table and table not in book.forms:
            yield f"forms.{table} is missing"
        elif table:
            missing = [str(value) for value in entry.slots[slot] if value not in book.forms[table]]
            yield from (f"forms.{table}.{value} is missing" for value in missing)


def _writing(language: str, entry: Frame, template: str) -> Iterator[str]:
    script = languages.language(language).script
    stop = FULL_STOP.get(script, ".")
    if not template.endswith(stop):
        yield f"must end with {stop!r}"
    elif len(_TERMINATORS.findall(template)) > 1:
        yield "must be one sentence: a sentence ends inside it (or an abbreviation has a full stop)"
    letters = [c for c in phrasebook.bare(template) if c.isalpha()]
    right = sum(unicodedata.name(c, "").startswith(SCRIPTS[script]) for c in letters)
    if letters and right < SCRIPT_SHARE * len(letters):
        yield f"only {right} of {len(letters)} letters are in the script {script}"
    if language != ENGLISH and template == phrasebook.wording(ENGLISH).frames.get(entry.id):
        yield "is the English text"


def _sentences(language: str) -> Iterator[str]:
    """Realised sentences that read the same though they mean something else."""
    seen: dict[str, str] = {}
    for entry in phrasebook.frames():
        for sentence in phrasebook.realisations(language, entry.id):
            other = seen.setdefault(sentence.casefold(), entry.id)
            if other != entry.id:
                yield f"{entry.id}: {sentence!r} is also a sentence of {other}"


def _function(language: str) -> Iterator[str]:
    """English sentences with two translations, and translations of two English sentences."""
    forth: dict[str, str] = {}
    back: dict[str, str] = {}
    for english, translation in phrasebook.translations(language):
        if forth.setdefault(english, translation) != translation:
            yield f"{english!r} has two translations: {forth[english]!r} and {translation!r}"
        if back.setdefault(translation, english) != english:
            yield f"{translation!r} translates both {back[translation]!r} and {english!r}"


def _held_out(language: str) -> Iterator[str]:
    training = phrasebook.frames(role="training")
    known = {
        word
        for entry in training
        for sentence in phrasebook.realisations(language, entry.id)
        for word in words(sentence, language)
    }
    patterns = {entry.id: _pattern(language, entry.id) for entry in training}
    for entry in phrasebook.frames(role="held_out"):
        sentences = list(phrasebook.realisations(language, entry.id))
        new = sorted({word for sentence in sentences for word in words(sentence, language)} - known)
        if new:
            yield f"{entry.id}: held-out words that no training sentence has: {' '.join(new)}"
        for name, pattern in patterns.items():
            match = next(filter(pattern.fullmatch, sentences), None)
            if match:
                yield f"{entry.id}: {match!r} is also a wording of the training frame {name}"


def _pattern(language: str, frame_id: str) -> re.Pattern[str]:
    """A training template as a pattern in which a slot takes any form that the language has for it, of any table."""
    book = phrasebook.wording(language)
    pieces = [re.escape(text) + _alternatives(book, slot) for text, slot, _ in phrasebook.parts(language, frame_id)]
    return re.compile("".join(pieces), re.IGNORECASE)


def _alternatives(book: Wording, slot: str) -> str:
    if not slot or slot in NUMBERS:
        return r"\d+(?:\D\d+)?" if slot else ""
    forms = [form for table, forms in book.forms.items() if table.startswith(f"{slot}.") for form in forms.values()]
    return "(?:" + "|".join(map(re.escape, forms)) + ")"
