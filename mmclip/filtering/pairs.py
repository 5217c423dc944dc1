"""The distinct pairs of source and translation that a score looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mmclip.filtering.tokens import characters, fold, words
from mmclip.languages import LANGUAGES


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations into one language, each pair once.

    Attributes:
        sources, translations: as they stand in the table, of equal length.
        source_language, language: FLORES-200 codes.
        counts: how often each pair occurs; once where left out.
    """

    sources: Sequence[str]
    translations: Sequence[str]
    source_language: str
    language: str
    counts: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def folded_sources(self) -> list[str]:
        """Sources in the form of :func:`~mmclip.filtering.tokens.fold`."""
        return [fold(text, self.source_language) for text in self.sources]

    @cached_property
    def folded_translations(self) -> list[str]:
        """Translations in the form of :func:`~mmclip.filtering.tokens.fold`."""
        return [fold(text, self.language) for text in self.translations]

    @cached_property
    def source_tokens(self) -> list[list[str]]:
        """Words of each source, or characters where its language has no spaces."""
        return _tokens(self.folded_sources, self.source_language)

    @cached_property
    def translation_tokens(self) -> list[list[str]]:
        """Words of each translation, or characters where its language has no spaces."""
        return _tokens(self.folded_translations, self.language)


def _tokens(folded: list[str], language: str) -> list[list[str]]:
    cut = characters if LANGUAGES[language].tokens == "character" else words
    return [cut(text) for text in folded]
