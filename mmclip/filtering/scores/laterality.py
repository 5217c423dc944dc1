"""Left stays left: the sides that a source and its translation name."""

from __future__ import annotations

import numpy as np

from mmclip.filtering.cues import Cues, cues
from mmclip.filtering.pairs import Pairs


def kept_sides(pairs: Pairs) -> np.ndarray:
    """1 where source and translation name the same sides, 0.5 where only `both` was lost or added, else 0; low is bad.

    "Both lungs" for "the lungs" says no more, so a language may add or leave out the word; a left or right that is
    lost, added or swapped changes the finding. "Left and right" is the same as "both".
    """
    source_cues, translation_cues = cues(pairs.source_language), cues(pairs.language)
    return np.array(
        [
            _agreement(*_sides(source, source_cues), *_sides(translation, translation_cues))
            for source, translation in zip(pairs.folded_sources, pairs.folded_translations, strict=True)
        ],
        dtype=float,
    )


def _sides(folded: str, language: Cues) -> tuple[frozenset[str], bool]:
    """The sides named one by one, and whether both are named at once."""
    single = frozenset(side for side, found in (("left", language.left), ("right", language.right)) if found(folded))
    return single, language.both(folded)


def _agreement(source: frozenset[str], source_both: bool, translation: frozenset[str], translation_both: bool) -> float:
    if source == translation:
        return 1.0 if source_both == translation_both else 0.5
    one_sided = [sides for sides in (source, translation) if len(sides) == 1]
    both_described = (source_both or len(source) == 2) and (translation_both or len(translation) == 2)
    return 1.0 if both_described and not one_sided else 0.0
