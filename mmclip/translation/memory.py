"""Translations that are already known: the embedded phrase book, or a file; unknown sentences go to another engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mmclip.errors import UserError
from mmclip.languages import ENGLISH, language
from mmclip.phantom import phrasebook
from mmclip.translation.engine import Answers, Engine, Translated, digest_of
from mmclip.translation.flags import flags_of


class Memory:
    """An engine of known translations.

    Args:
        file: ``source<TAB>language<TAB>translation`` a line, UTF-8; None for the embedded phrase book, whose sentences
            are English.
        fallback: the engine for sentences that are not known; without one they stay empty and are flagged so.
    """

    def __init__(self, name: str, file: Path | None = None, fallback: Engine | None = None) -> None:
        self.name = name
        self._file = file
        self._fallback = fallback
        self._books: dict[str, Mapping[str, str]] = {}

    def digest(self, source: str, target: str) -> str:
        known = sorted(self._known(source, target).items())
        return digest_of(["memory", known, self._fallback and self._fallback.digest(source, target)])

    def translate(self, sentences: Sequence[str], source: str, target: str) -> Iterator[Answers]:
        known = self._known(source, target)
        unknown = [position for position, sentence in enumerate(sentences) if sentence not in known]
        if len(unknown) < len(sentences):
            yield {
                position: Translated(known[sentence], flags_of(sentence, known[sentence]))
                for position, sentence in enumerate(sentences)
                if sentence in known
            }
        if not unknown:
            return
        if self._fallback is None:
            yield {position: Translated("", ("empty",)) for position in unknown}
            return
        for part in self._fallback.translate([sentences[position] for position in unknown], source, target):
            yield {unknown[position]: translated for position, translated in part.items()}

    def close(self) -> None:
        if self._fallback is not None:
            self._fallback.close()

    def _known(self, source: str, target: str) -> Mapping[str, str]:
        if self._file is not None:
            return self._by_language.get(target, {})
        if source != ENGLISH:
            return {}
        if target not in self._books:
            self._books[target] = dict(phrasebook.translations(target))
        return self._books[target]

    @cached_property
    def _by_language(self) -> dict[str, dict[str, str]]:
        return read_memory(self._file) if self._file is not None else {}


def read_memory(file: Path) -> dict[str, dict[str, str]]:
    """Language -> source -> translation, from a file of known translations.

    Raises:
        UserError: the file is missing or no UTF-8, a line has not three columns, its language is unknown, or it
            contradicts an earlier line.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file; expected lines of source<TAB>language<TAB>translation") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    known: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        columns = line.split("\t")
        if not line.strip() or columns == ["source", "language", "translation"]:
            continue
        if len(columns) != 3:
            raise UserError(f"{file}:{number}: {len(columns)} columns; expected source<TAB>language<TAB>translation")
        sentence, code, translation = (" ".join(column.split()) for column in columns)
        book = known.setdefault(language(code, f"{file}:{number}").code, {})
        if book.setdefault(sentence, translation) != translation:
            raise UserError(f"{file}:{number}: another translation into {code} of an earlier line; keep one of them")
    return known
