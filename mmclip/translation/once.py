"""Each distinct sentence once: from the store where it is known, else from the engine, and stored as it answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmclip.errors import UserError
from mmclip.translation.engine import Engine, Translated
from mmclip.translation.normalise import has_invisible, normalise
from mmclip.translation.store import Store, key

logger = logging.getLogger("mmclip.translation")

_POLL = 0.2
"""Seconds between two looks for what another job is translating."""


@dataclass(frozen=True)
class Once:
    """What :func:`translate_once` did.

    Attributes:
        known: distinct sentence -> translation.
        new: how many this job's engine translated; the others were in the store or came from another job.
        cleaned: distinct sentences from which characters that nobody sees were taken.
        too_long: distinct sentences that were not given to the engine.
    """

    known: dict[str, Translated]
    new: int
    cleaned: int = 0
    too_long: int = 0


def translate_once(
    engine: Engine, sentences: Sequence[str], source: str, target: str, store: Store, block: int, longest: int
) -> Once:
    """Translate the distinct ones of `sentences`; each part of the engine's answers is in the store before the next.

    Sentences that are one after :func:`~mmclip.translation.normalise.normalise` are translated once, in that form. What
    is longer than `longest` characters is no sentence, and could stop an engine or fill the memory: it stays empty.
    They are claimed, and given to the engine, `block` at a time; the longest come first, so that those of one block
    have about one length, and the engine's batches little padding. What another job is translating at this moment is
    waited for, or taken over if that job dies. Where two answers meet, the first in the store is everybody's.
    """
    distinct = list(dict.fromkeys(sentences))
    forms = {sentence: normalise(sentence) for sentence in distinct}
    wanted = {form for form in forms.values() if form and len(form) <= longest}
    done, new = _all_of(engine, sorted(wanted, key=lambda form: (-len(form), form)), source, target, store, block)
    refused = {form: _refused(form) for form in forms.values() if form not in wanted}
    cleaned = sum(map(has_invisible, distinct))
    too_long = sum(len(form) > longest for form in refused)
    if cleaned:
        logger.warning("%s: invisible characters were taken out of %d distinct sentences", target, cleaned)
    if too_long:
        logger.warning("%s: %d sentences of more than %d characters are left untranslated", target, too_long, longest)
    if lost := sum(not value.text for value in done.values()):
        logger.warning("%s: %d sentences came back empty; another run asks for them again", target, lost)
    known = {sentence: refused[form] if form in refused else done[form] for sentence, form in forms.items()}
    return Once(known, new, cleaned, too_long)


def _refused(form: str) -> Translated:
    return Translated("", ("length_limit", "empty") if form else ("empty",))


def _all_of(
    engine: Engine, sentences: Sequence[str], source: str, target: str, store: Store, block: int
) -> tuple[dict[str, Translated], int]:
    """The translation of each of some different sentences, and how many of them the engine was asked for."""
    digest = engine.digest(source, target)
    keys = {sentence: key(digest, source, target, sentence) for sentence in sentences}
    done = store.get(keys.values())
    missing = [sentence for sentence in keys if keys[sentence] not in done]
    new, total = 0, len(missing)
    empty: dict[bytes, Translated] = {}
    while missing:
        waiting: list[str] = []
        for start in range(0, len(missing), block):
            some = missing[start : start + block]
            mine = set(store.claim([keys[sentence] for sentence in some]))
            todo = {sentence: keys[sentence] for sentence in some if keys[sentence] in mine}
            empty |= _translate(engine, todo, source, target, store)
            new += len(todo)
            waiting += [sentence for sentence in some if keys[sentence] not in mine]
            if total > block:
                logger.info("%s: %d of %d new sentences translated", target, new, total)
        found = store.get(keys[sentence] for sentence in waiting)
        missing = [sentence for sentence in waiting if keys[sentence] not in found]
        if missing:
            time.sleep(_POLL)
    done = empty | store.get(keys.values())
    return {sentence: done[row] for sentence, row in keys.items()}, new


def _translate(
    engine: Engine, todo: Mapping[str, bytes], source: str, target: str, store: Store
) -> dict[bytes, Translated]:
    """Put the engine's answers into the store as they come; those that are empty, which the store does not keep.

    Args:
        todo: the row of each sentence.

    Raises:
        UserError: the engine left sentences out. What it has answered is in the store.
    """
    rows = list(todo.values())
    answered: set[int] = set()
    empty: dict[bytes, Translated] = {}
    for part in engine.translate(list(todo), source, target) if todo else ():
        answers = {rows[position]: _clean(value) for position, value in part.items()}
        store.put(answers)
        answered |= part.keys()
        empty |= {row: value for row, value in answers.items() if not value.text}
    if len(answered) < len(rows):
        raise UserError(
            f"engine {engine.name}: only {len(answered)} of {len(rows)} sentences came back; run it again, or choose "
            f"another engine for {target}"
        )
    return empty


def _clean(translated: Translated) -> Translated:
    """A translation without characters that nobody sees, and flagged if nothing else was in it."""
    text = normalise(translated.text)
    flags = translated.flags if text or "empty" in translated.flags else (*translated.flags, "empty")
    return Translated(text, flags)
