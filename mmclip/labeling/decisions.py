"""The state of each mention by the cues that reach it."""

from __future__ import annotations

from dataclasses import dataclass

from mmclip.labeling.anatomy import called_normal, predicate
from mmclip.labeling.patterns import Match
from mmclip.labeling.rules import HEDGING, STATES, MentionRule, Rules
from mmclip.labeling.scope import Clauses
from mmclip.observations import ABSENT, PRESENT, SUPPORT_DEVICES, UNCERTAIN, State

_PREDICATE_STATES: dict[str, int] = {
    "normal": ABSENT,
    "enlarged": PRESENT,
    "borderline": UNCERTAIN,
    "undetermined": UNCERTAIN,
}

_ORDER: tuple[tuple[str, State], ...] = (
    ("drop", None),
    ("uncertain_first", UNCERTAIN),
    ("negation", ABSENT),
    ("uncertain", UNCERTAIN),
)
"""The role of a cue and the state it gives, in the order of decision (Irvin et al. 2019, section 3)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A mention, its state, and the cue that decided it (None where no cue did)."""

    match: Match
    state: State
    cue: Match | None = None


def decide(matches: list[Match], clauses: Clauses, rules: Rules, subjects: dict[int, int]) -> list[Decision]:
    """The state of each mention by the cues that reach it; anatomy of which nothing is said is left out.

    Args:
        matches: mentions in order of place.
        subjects: first word -> end of every mention of anatomy.
    """
    reached = _reached(matches, clauses)
    decisions: list[Decision] = []
    for match in matches:
        stated = _stated(match, rules.mentions[match.rule], clauses, subjects)
        if stated is None:
            continue
        state, cue = stated
        if state != ABSENT:
            by_role = reached.get(match.start, {})
            if cue:  # "the heart may be enlarged": the doubt reaches the predicate
                by_role = {**reached.get(cue.start, {}), **by_role}
            if rules.mentions[match.rule].observation == SUPPORT_DEVICES:
                # a doubt behind a device is about its place: "the catheter tip may be in the azygos vein"
                by_role = {r: c for r, c in by_role.items() if r != "uncertain" or c.start < match.start}
            role, result = next(((role, result) for role, result in _ORDER if role in by_role), ("", state))
            state, cue = result, by_role.get(role, cue)
        decisions.append(Decision(match, state, cue))
    return decisions


def _stated(
    match: Match, rule: MentionRule, clauses: Clauses, subjects: dict[int, int]
) -> tuple[State, Match | None] | None:
    """What a mention states by itself or by its predicate, before any cue; None where nothing is stated."""
    if rule.kind == "anatomy":
        cue = predicate(match, clauses, subjects)
        return (_PREDICATE_STATES[clauses.role(cue)], cue) if cue else None
    if rule.observation == SUPPORT_DEVICES:  # wires that are intact are there
        return STATES[rule.state], None
    normal = called_normal(match, clauses)
    return (ABSENT, normal) if normal else (STATES[rule.state], None)


def _reached(matches: list[Match], clauses: Clauses) -> dict[int, dict[str, Match]]:
    """Word -> role -> the first cue of that role that reaches the word; only for words where cues can matter."""
    begins = frozenset(match.start for match in matches)
    reached: dict[int, dict[str, Match]] = {}
    for cue in clauses.cues:
        role = clauses.role(cue)
        if role not in HEDGING:
            continue
        words = _reach(cue, clauses, begins)
        if role == "borderline":
            words = [word for word in words if word in begins][:1]
            role = "uncertain"
        for word in words:
            reached.setdefault(word, {}).setdefault(role, cue)
    return reached


def _reach(cue: Match, clauses: Clauses, begins: frozenset[int]) -> list[int]:
    """The words that a cue reaches, nearest first."""
    direction = clauses.direction(cue)
    if direction != "backward":
        ahead = list(range(cue.end, clauses.forward(cue, begins)))
        if direction == "forward" or not begins.isdisjoint(ahead) or clauses.has_complement(cue):
            return ahead
    return list(range(cue.start - 1, clauses.backward(cue) - 1, -1))
