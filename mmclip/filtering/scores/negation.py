"""What is denied stays denied, and what is stated stays stated."""

from __future__ import annotations

import numpy as np

from mmclip.filtering.cues import Cues, cues
from mmclip.filtering.pairs import Pairs


def kept_negation(pairs: Pairs) -> np.ndarray:
    """1 where both or neither deny, 0.5 where one side implies it, 0 where it is lost or added; low is bad.

    Presence counts, not number: a language repeats or merges negations ("neither ... nor"). "The lungs are clear" may
    become "lungs without opacities", and "no abnormality" may become "normal": see ``implied`` in
    :class:`~mmclip.filtering.cues.CueFile`. "No change" is the same as "unchanged", and neither stands for the negation
    of anything else: "no effusion" must not become "effusion, no change".
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
    if denied and still_denied:
        return 1.0
    if denied:
        return _without_negation(source, source_cues, translation, translation_cues)
    no_change = source_cues.literal_negation(source)
    if still_denied:
        return 1.0 if no_change else 0.5 if source_cues.implied(source) or source_cues.unchanged(source) else 0.0
    if not no_change or translation_cues.unchanged(translation):
        return 1.0
    return 0.5 if translation_cues.implied(translation) else 0.0


def _without_negation(source: str, source_cues: Cues, translation: str, translation_cues: Cues) -> float:
    """The agreement of a source that denies with a translation that does not, "no change" apart."""
    normal = translation_cues.implied(translation) and not source_cues.implied(source)
    no_abnormality = translation_cues.no_abnormality(translation) and source_cues.abnormal(source)
    return 0.5 if normal or no_abnormality else 0.0
