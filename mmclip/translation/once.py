"""Each distinct sentence once: from the store where it is known, else from the engine, block by block."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mmclip.translation.engine import Engine, Translated
from mmclip.translation.store import Store, key

logger = logging.getLogger("mmclip.translation")

_POLL = 0.2
"""Seconds between two looks for what another job is translating."""


@dataclass(frozen=True)
class Once:
    """What :func:`translate_once` did.

    Attributes:
        known: distinct sentence -> translation.
        new: how many of them this job's engine translated; the others were in the store or came from another job.
    """

    known: dict[str, Translated]
    new: int


def translate_once(
    engine: Engine, sentences: Sequence[str], source: str, target: str, store: Store, block: int
) -> Once:
    """Translate the distinct ones of `sentences`; after each block of them all that is done is in the store.

    What another job is translating at this moment is waited for, or taken over if that job dies. Where two answers
    meet, the first in the store is everybody's.
    """
    digest = engine.digest(source, target)
    keys = {sentence: key(digest, source, target, sentence) for sentence in dict.fromkeys(sentences)}
    done = store.get(keys.values())
    missing = [sentence for sentence in keys if keys[sentence] not in done]
    new, total = 0, len(missing)
    empty: dict[bytes, Translated] = {}
    while missing:
        waiting: list[str] = []
        for start in range(0, len(missing), block):
            some = missing[start : start + block]
            mine = set(store.claim([keys[sentence] for sentence in some]))
            todo = [sentence for sentence in some if keys[sentence] in mine]
            translated = engine.translate(todo, source, target) if todo else []
            answers = {keys[sentence]: value for sentence, value in zip(todo, translated, strict=True)}
            store.put(answers)
            empty |= {row: value for row, value in answers.items() if not value.text}
            new += len(todo)
            waiting += [sentence for sentence in some if keys[sentence] not in mine]
            if total > block:
                logger.info("%s: %d of %d new sentences translated", target, new, total)
        found = store.get(keys[sentence] for sentence in waiting)
        missing = [sentence for sentence in waiting if keys[sentence] not in found]
        if missing:
            time.sleep(_POLL)
    done = empty | store.get(keys.values())
    return Once({sentence: done[row] for sentence, row in keys.items()}, new)
