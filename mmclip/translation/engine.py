"""What every translation engine is: sentences in, translations with flags out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Translated:
    """A translation and what is known to be wrong with it.

    Attributes:
        text: the translation, on one line; empty where there is none.
        flags: of ``length_limit`` (input or output reached the engine's limit), ``no_end`` (the decoder was stopped
            before it ended the sentence), ``empty``, ``copy``, ``loop`` (see :mod:`mmclip.translation.flags`),
            ``retried`` (a second try, with repetition forbidden, was better).
    """

    text: str
    flags: tuple[str, ...] = ()


Answers = Mapping[int, Translated]
"""Translations by the position of their sentence."""


class Engine(Protocol):
    """A way to translate. Making one is cheap: models load and programs start with the first sentence."""

    name: str

    def digest(self, source: str, target: str) -> str:
        """Identifies all that decides a translation between two languages: kind, options, content of the model."""
        ...

    def translate(self, sentences: Sequence[str], source: str, target: str) -> Iterator[Answers]:
        """The translations, in as many parts as the engine has batches: each part as soon as it is done.

        Whoever takes a part may store it before asking for the next. Each position comes once, in any order.

        Args:
            sentences: different ones, each on one line and with something to translate.
            source, target: FLORES-200 codes.

        Raises:
            UserError: the engine does not know the pair, or cannot be started.
        """
        ...

    def close(self) -> None:
        """Stop programs and free models. The engine may be used again."""
        ...


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of anything that JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
