"""What every translation engine is: sentences in, translations with flags out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
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


class Engine(Protocol):
    """A way to translate. Making one is cheap: models load and programs start with the first sentence."""

    name: str

    def digest(self, source: str, target: str) -> str:
        """Identifies all that decides a translation between two languages: kind, options, content of the model."""
        ...

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[Translated]:
        """The translation of each sentence, in order.

        Args:
            sentences: each on one line and with something to translate.
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
