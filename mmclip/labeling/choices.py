"""Findings that "or" and "versus" leave open: which one it is, the sentence does not say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mmclip.labeling.decisions import Decision
from mmclip.labeling.patterns import Match
from mmclip.labeling.rules import Rules
from mmclip.labeling.scope import REACH, Clauses
from mmclip.observations import PRESENT, UNCERTAIN

ONE_PICTURE = frozenset({"Lung Opacity", "Atelectasis"})
"""Two words for one streak: "scarring or atelectasis", "atelectasis/airspace disease" leave nothing open. In Indiana
University's reports, those that were read for the rules, the human labels have atelectasis for 68 of 70 such phrases.
"versus" stays a doubt."""


def open_choices(decisions: list[Decision], clauses: Clauses, rules: Rules) -> list[Decision]:
    """Present mentions of different observations that "or" or "versus" joins become uncertain.

    Args:
        decisions: in order of place.
    """
    observation = [rules.mentions[decision.match.rule].observation for decision in decisions]
    doubted: dict[int, Match] = {}
    for group, choice in _alternatives(decisions, clauses):
        if len(group) > 2 and observation[group[0]] == "Lung Opacity":
            group = group[1:]  # "opacities, atelectasis or pneumonia": what is seen, and then what it may be
        named = {observation[k] for k in group}
        if len(named) > 1 and named != ONE_PICTURE:
            doubted |= dict.fromkeys(group, choice)
    number = {decision.match.start: k for k, decision in enumerate(decisions)}
    for cue in clauses.cues:
        if clauses.role(cue) == "versus":
            doubted |= dict.fromkeys(_beside(cue, number, clauses), cue)
    return [
        replace(decision, state=UNCERTAIN, cue=doubted[k]) if k in doubted and decision.state == PRESENT else decision
        for k, decision in enumerate(decisions)
    ]


def _alternatives(decisions: list[Decision], clauses: Clauses) -> Iterator[tuple[list[int], Match]]:
    """Neighbouring present mentions that one "or" offers, and that "or".

    Commas go on with the alternatives ("atelectasis, pneumonia, or edema"). "and" ends them ("atelectasis or
    infiltrate, and an effusion"), and so does "and/or", which offers nothing: in the same reports the human labels have
    every member of such a pair that they know, 15 of 15. A slash offers its two neighbours only.
    """
    group: list[int] = []
    choice: Match | None = None
    for k, decision in enumerate(decisions):
        link = _link(decisions[k - 1], decision, clauses) if k else None
        if link and _is(link, "/", clauses):
            yield [k - 1, k], link
        elif link and (_offers(link, clauses) or _is(link, ",", clauses)):
            if _offers(link, clauses) and not clauses.unchanged(decision.match.start):
                choice = choice or link
            group = [*(group or [k - 1]), k]
            continue
        if choice:
            yield group, choice
        group, choice = [], None
    if choice:
        yield group, choice


def _offers(link: Match, clauses: Clauses) -> bool:
    """Whether a link is an "or", and not an "and/or"."""
    return clauses.role(link) == "or" and "and" not in clauses.words[link.start : link.end]


def _is(link: Match, mark: str, clauses: Clauses) -> bool:
    """Whether a link is nothing but this mark."""
    return link.end == link.start + 1 and clauses.words[link.start] == mark


def _link(left: Decision, right: Decision, clauses: Clauses) -> Match | None:
    """The join between two neighbouring present mentions of one list, or None where they are no list."""
    start, end = left.match.end, right.match.start
    if left.state != PRESENT or right.state != PRESENT or not start < end <= start + REACH:
        return None
    if clauses.new_statement(start, end + 1) or "verb" in clauses.roles[start:end]:
        return None
    between = dict.fromkeys(cue for cue in clauses.cue_at[start:end] if cue and clauses.role(cue) in ("and", "or"))
    return next(iter(between)) if len(between) == 1 else None


def _beside(cue: Match, number: dict[int, int], clauses: Clauses) -> list[int]:
    """The mentions next to "versus", one on each side at most, within its statement."""
    left = [number[i] for i in range(cue.start - 1, clauses.backward(cue) - 1, -1) if i in number]
    right = [number[i] for i in range(cue.end, clauses.forward(cue, frozenset())) if i in number]
    return left[:1] + right[:1]
