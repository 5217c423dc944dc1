"""The phrase book: every sentence of the phantom's reports, as language-neutral frames with a wording a language.

``frames.yaml`` says what each frame asserts and which slots it has; ``phrasebook/<language>.yaml`` words it.

    python -m mmclip.phantom.phrasebook check spa_Latn
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mmclip import languages
from mmclip.errors import UserError
from mmclip.languages import ENGLISH

FRAMES = Path(__file__).parent / "frames.yaml"
WORDINGS = Path(__file__).parent / "phrasebook"

Value = str | int | float
"""A slot's value: a name (``left``), millimetres (``size_mm``, int) or centimetres (``size_cm``, one decimal)."""

NUMBERS = ("size_mm", "size_cm")

_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\.([A-Za-z0-9_]+))?\}")


@dataclass(frozen=True)
class Frame:
    """One sentence frame, apart from any language.

    Attributes:
        id: its name in every phrase book.
        role: ``training`` (reports) or ``held_out`` (prompts and retrieval texts).
        section: ``findings``, ``impression`` or ``both``.
        kind: ``present``, ``comparison``, ``absent``, ``uncertain``, ``normal``, ``negative_list`` or ``other``.
        finding: the phantom's finding that it describes, or None.
        states: what it asserts (1, 0 or -1) of the observations it mentions, without ``No Finding``.
        slots: the values of each slot that the generator may fill in.
        rules_out: observations that a report with this sentence cannot state, whether or not it names them.
        excludes: ids of frames that would contradict it.
    """

    id: str
    role: str
    section: str
    kind: str
    finding: str | None
    states: Mapping[str, int]
    slots: Mapping[str, tuple[Value, ...]]
    rules_out: frozenset[str]
    excludes: frozenset[str]

    def fillings(self) -> Iterator[dict[str, Value]]:
        """Every way to fill the slots (one empty dict where there are none)."""
        for values in product(*self.slots.values()):
            yield dict(zip(self.slots, values, strict=True))


@dataclass(frozen=True)
class Wording:
    """One language's phrase book as it stands in the file, which need not be right: see :mod:`~.phrasebook_check`.

    Attributes:
        path: the file.
        reviewed_by: the named person who reviewed it, or empty.
        note: the notice that goes with an unreviewed file.
        decimal: the decimal mark.
        forms: table name (``side.adj``) -> slot value -> text.
        frames: frame id -> template.
        raw: the file's content.
    """

    path: Path
    reviewed_by: str
    note: str
    decimal: str
    forms: Mapping[str, Mapping[str, str]]
    frames: Mapping[str, str]
    raw: Mapping[str, Any]


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FRAMES.read_text(encoding="utf-8"))
    return content


def slot_values() -> dict[str, list[str]]:
    """The values of each slot that takes names, whatever the finding."""
    values: dict[str, list[str]] = _content()["slots"]
    return values


def values(slot: str, finding: str) -> tuple[Value, ...]:
    """The values of a slot that the phantom draws for a finding."""
    drawn = _content()["findings"][finding]
    if slot in NUMBERS:
        millimetres = range(drawn["size"]["from"], drawn["size"]["to"] + 1)
        return tuple(millimetres) if slot == "size_mm" else tuple(number / 10 for number in millimetres)
    return tuple(drawn.get(slot) or slot_values()[slot])


@cache
def _frames() -> dict[str, Frame]:
    return {
        name: Frame(
            id=name,
            role=entry["role"],
            section=entry["section"],
            kind=entry["kind"],
            finding=entry.get("finding"),
            states=entry["states"],
            slots={
                slot: tuple(entry.get("only", {}).get(slot) or values(slot, entry["finding"]))
                for slot in entry["slots"]
            },
            rules_out=frozenset(entry.get("rules_out", ())) | {o for o, state in entry["states"].items() if state == 0},
            excludes=frozenset(entry.get("excludes", ())),
        )
        for name, entry in _content()["frames"].items()
    }


def frame(frame_id: str) -> Frame:
    """The frame of an id (KeyError if there is none)."""
    return _frames()[frame_id]


@cache
def frames(*, role: str | None = None, kind: str | None = None, finding: str | None = None) -> tuple[Frame, ...]:
    """The frames with the given role, kind and finding (None: any), in the file's order."""
    return tuple(
        entry
        for entry in _frames().values()
        if role in (None, entry.role) and kind in (None, entry.kind) and finding in (None, entry.finding)
    )


@cache
def wording(language: str) -> Wording:
    """One language's phrase book.

    Raises:
        UserError: the code is unknown, the file is missing, or it is not a YAML mapping.
    """
    languages.language(language, where="phrase book")
    path = WORDINGS / f"{language}.yaml"
    if not path.is_file():
        raise UserError(f"{path}: there is no phrase book for {language}; translate {WORDINGS / ENGLISH}.yaml into it")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = path if line is None else f"{path}:{line + 1}"
        raise UserError(f"{where}: not valid UTF-8 YAML; quote every text with double quotes") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in ("forms", "frames")):
        raise UserError(f"{path}: a phrase book needs the mappings 'forms' and 'frames'; see {ENGLISH}.yaml")
    return Wording(
        path=path,
        reviewed_by=content.get("reviewed_by") or "",
        note=content.get("note") or "",
        decimal=content.get("decimal", "."),
        forms=content["forms"],
        frames=content["frames"],
        raw=content,
    )


def available() -> list[str]:
    """The languages that have a phrase book, in the order of :data:`mmclip.languages.LANGUAGES`."""
    return [code for code in languages.LANGUAGES if (WORDINGS / f"{code}.yaml").is_file()]


def placeholders(template: str) -> list[tuple[str, str]]:
    """(slot, table) of each placeholder of a template, in order; the table of a number is empty."""
    return [(slot, f"{slot}.{variant}" if variant else "") for slot, variant in _PLACEHOLDER.findall(template)]


def bare(template: str) -> str:
    """A template without its placeholders."""
    return _PLACEHOLDER.sub("", template)


@cache
def parts(language: str, frame_id: str) -> tuple[tuple[str, str, str], ...]:
    """A template cut into (text before, slot, table); the last piece has an empty slot, a number an empty table."""
    book = wording(language)
    if frame_id not in book.frames:
        raise UserError(f"{book.path}: frame {frame_id} is missing; run 'python -m mmclip.phantom.phrasebook check'")
    pieces = _PLACEHOLDER.split(book.frames[frame_id])
    slots = [
        (slot, f"{slot}.{variant}" if variant else "") for slot, variant in zip(pieces[1::3], pieces[2::3], strict=True)
    ]
    return tuple((text, *slot) for text, slot in zip(pieces[::3], [*slots, ("", "")], strict=True))


def realise(language: str, frame_id: str, slots: Mapping[str, Value]) -> str:
    """The sentence of a frame in a language, its first letter in upper case.

    Args:
        slots: a value for each slot of the frame; others are ignored.

    Raises:
        UserError: the phrase book lacks the frame or a form.
        KeyError: a slot has no value.
    """
    book, out = wording(language), []
    for text, slot, table in parts(language, frame_id):
        out.append(text)
        if table:
            form = book.forms.get(table, {}).get(str(slots[slot]))
            if form is None:
                raise UserError(f"{book.path}: {frame_id}: forms.{table} has no form for {slots[slot]!r}")
            out.append(form)
        elif slot:
            out.append(number(slot, slots[slot], book.decimal))
    return capitalise("".join(out), language)


def number(slot: str, value: Value, decimal: str) -> str:
    """A size as text: whole millimetres, or centimetres with one place after the decimal mark."""
    return f"{value:.0f}" if slot == "size_mm" else f"{value:.1f}".replace(".", decimal)


def capitalise(sentence: str, language: str) -> str:
    """The sentence with its first character in upper case (in Turkish a dotted i stays dotted)."""
    first = "İ" if language == "tur_Latn" and sentence[:1] == "i" else sentence[:1].upper()
    return first + sentence[1:]


def realisations(language: str, frame_id: str) -> Iterator[str]:
    """The sentence of a frame for every filling of its slots that the generator can draw."""
    for slots in frame(frame_id).fillings():
        yield realise(language, frame_id, slots)


def prompts(language: str, finding: str) -> list[str]:
    """The zero-shot prompts of a finding: its held-out wordings without slots; ``No Finding`` has the normal ones.

    Raises:
        UserError: the finding has none, or the language no phrase book.
    """
    kind, name = ("normal", None) if finding == "No Finding" else ("present", finding)
    out = [realise(language, f.id, {}) for f in frames(role="held_out", kind=kind, finding=name) if not f.slots]
    if not out:
        raise UserError(f"phrase book: {finding!r} is no finding of the phantom; see findings in {FRAMES.name}")
    return out


def translations(language: str) -> Iterator[tuple[str, str]]:
    """(English sentence, translation) for every frame and every filling of its slots that the generator can draw."""
    for entry in _frames().values():
        for slots in entry.fillings():
            yield realise(ENGLISH, entry.id, slots), realise(language, entry.id, slots)


def check(language: str) -> list[str]:
    """The problems of a language's phrase book, a line each; none if it can be used.

    Raises:
        UserError: the code is unknown or the file cannot be read.
    """
    from mmclip.phantom.phrasebook_check import problems

    return problems(language)


def main(arguments: Sequence[str]) -> int:
    """``check LANGUAGE...`` (none: all that have a file) prints the problems; returns 1 if any, 2 if misused."""
    if not arguments or arguments[0] != "check":
        print("usage: python -m mmclip.phantom.phrasebook check [LANGUAGE...]", file=sys.stderr)
        return 2
    found = 0
    for language in arguments[1:] or available():
        try:
            lines = check(language)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        for line in lines:
            print(line)
        print(f"{language}: {len(lines)} problems" if lines else f"{language}: no problems")
        found += len(lines)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
