"""What is denied stays denied, and what is stated stays stated."""

from __future__ import annotations

import numpy as np

from mmclip.filtering.cues import Cues, cues
from mmclip.filtering.pairs import Pairs


def kept_negation(pairs: Pairs) -> np.ndarray:
    """1 where both or neither deny, 0.5 where one side implies it, 0 where it is lost or added; low is bad.

    Presence counts, not number: a language repeats or merges negations ("neither ... nor"). "The lungs are clear" may
    become "lungs without opacities", and "no abnormality" may become "normal": see ``implied`` in
    :class:`~mmclip.filtering.cues.CueFile`.
    """
    source_cues, translation_cues = cues(pairs.source_language), cues(pairs.language)
    return np.array(
        [
            _agreement(source, source_cues, translation, translation_cues)
            for source, translation in zip(pairs.folded_sources, pairs.folded_translations, strict=True)
        ],
        dtype=float,
    )


def _agreement(source: str, source_cues: Cues, translation: str, translation_cues: Cues) -> float:
    denied, still_denied = source_cues.negation(source), translation_cues.negation(translation)
    if denied == still_denied:
        return 1.0
    implied_before = source_cues.implied(source)
    if still_denied:
        return 0.5 if implied_before else 0.0
    return 0.5 if translation_cues.implied(translation) and not implied_before else 0.0
