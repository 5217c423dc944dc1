"""What a sentence says of a part of the body: "heart size is normal", "the mediastinum is widened"."""

from __future__ import annotations

from mmclip.labeling.patterns import Match
from mmclip.labeling.rules import PREDICATES
from mmclip.labeling.scope import Clauses

_ATTRIBUTE_REACH = 5
_PREDICATE_REACH = 24
_STRENGTH = {"borderline": 4, "enlarged": 3, "normal": 2, "undetermined": 1}
"""Of several words on one part, which decides: "normal and stable" is normal, "borderline enlarged" is borderline."""


def predicate(mention: Match, clauses: Clauses, subjects: dict[int, int]) -> Match | None:
    """The cue that states the size of a mentioned part, or None where nothing states it.

    Looked for in this order: right before the mention ("enlarged heart"), after it and its verb ("heart and mediastinum
    are normal"), and before the list that it belongs to ("normal heart size and mediastinal contours").

    Args:
        subjects: start -> end of every mention of anatomy in the sentence.
    """
    found = _attribute(mention.start, clauses) or _after(mention, clauses) or _shared(mention, clauses, subjects)
    return max(found, key=lambda cue: _STRENGTH[clauses.role(cue)]) if found else None


def called_normal(mention: Match, clauses: Clauses) -> Match | None:
    """The cue that calls a finding normal right after it: "vascular engorgement appears within normal limits"."""
    if mention.end >= len(clauses.words) or clauses.roles[mention.end] != "verb":
        return None
    near = clauses.cue_at[mention.end + 1 : mention.end + 4]
    return next((cue for cue in near if cue and clauses.role(cue) == "normal"), None)


def _predicate_at(at: int, clauses: Clauses) -> Match | None:
    """The cue at a word, where it states a size."""
    return clauses.cue_at[at] if clauses.roles[at] in PREDICATES else None


def _attribute(start: int, clauses: Clauses) -> list[Match]:
    """Words of size right before the word `start`: "stable enlarged" heart."""
    found: list[Match] = []
    for i in range(start - 1, max(-1, start - 1 - _ATTRIBUTE_REACH), -1):
        if clauses.roles[i] in ("break", "verb", "and", "or", "versus"):
            break
        cue = _predicate_at(i, clauses)
        if cue and cue not in found:
            found.append(cue)
    return found


def _after(mention: Match, clauses: Clauses) -> list[Match]:
    """Words of size after the mention, over a list of subjects and one verb: heart "and mediastinum are normal"."""
    found: list[Match] = []
    stated = False
    for i in range(mention.end, min(len(clauses.words), mention.end + _PREDICATE_REACH)):
        role = clauses.roles[i]
        if role == "break":
            if clauses.words[i] != ":" or i != mention.end:
                break
            stated = True  # "Heart: normal."
        cue = _predicate_at(i, clauses)
        if role in ("and", "or", "versus") and stated and not (found and _goes_on(i, clauses)):
            break
        if cue and cue not in found:
            found.append(cue)
        stated = stated or role == "verb" or cue is not None
    return found


def _goes_on(at: int, clauses: Clauses) -> bool:
    """Whether the next word after a join is a word of size too: "normal in size and stable"."""
    return at + 1 < len(clauses.words) and clauses.roles[at + 1] in PREDICATES


def _shared(mention: Match, clauses: Clauses, subjects: dict[int, int]) -> list[Match]:
    """Words of size before the first member of the mention's list: "normal heart size and" mediastinal contours."""
    joined = False
    for i in range(mention.start - 1, max(-1, mention.start - 1 - _PREDICATE_REACH), -1):
        role = clauses.roles[i]
        if role in ("break", "verb"):
            break
        joined = joined or role in ("and", "or")
        if joined and i in subjects and (found := _attribute(i, clauses)):
            return found
    return []
