"""From a sentence to its mentions, their states, and why."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mmclip.labeling.choices import open_choices
from mmclip.labeling.decisions import Decision, decide
from mmclip.labeling.patterns import Match, longest
from mmclip.labeling.rules import OTHER, Rules, rules_for
from mmclip.labeling.scope import Clauses
from mmclip.labeling.tokens import Tokens, tokenize
from mmclip.languages import ENGLISH
from mmclip.observations import ABSENT, NO_FINDING, OBSERVATIONS, PRESENT, UNCERTAIN, State, sentence_no_finding

_STRENGTH = {PRESENT: 3, UNCERTAIN: 2, ABSENT: 1, None: 0}
_REMEMBERED_SENTENCES = 200_000
_REMEMBERED_LENGTH = 1_000
"""Bounds on the memory for sentences already read: how many, and of what length."""


@dataclass(frozen=True, slots=True)
class Mention:
    """An observation that a sentence names, and what is said of it.

    Attributes:
        observation: one of the 14, or ``Other``.
        concept: the rule's sub-concept.
        state: present, absent, uncertain (as in :mod:`mmclip.observations`), or None where nothing is stated.
        start, end: the mention's place in the sentence, in characters.
        rule: id of the rule that found it.
        cue: id of the rule that decided its state, or ``""`` where no cue reaches it.
        cue_start, cue_end: the cue's place; 0, 0 where there is none.
    """

    observation: str
    concept: str
    state: State
    start: int
    end: int
    rule: str
    cue: str = ""
    cue_start: int = 0
    cue_end: int = 0


def extract(sentence: str, rules: Rules | None = None) -> list[Mention]:
    """The mentions of a sentence in the order of their places, each with its state and the rules behind it.

    Order of decision: mention (minus what only looks like one), uncertain before negation, negation, uncertain after
    negation, else the mention's own state (present): Irvin et al. 2019, section 3.
    """
    rules = rules or rules_for(ENGLISH)
    tokens = tokenize(sentence)
    matches = _mentions(tokens, rules)
    if not matches:
        return []
    subjects = {m.start: m.end for m in matches if rules.mentions[m.rule].kind == "anatomy"}
    clauses = Clauses(tokens.words, rules, frozenset(subjects))
    decisions = open_choices(decide(matches, clauses, rules, subjects), clauses, rules)
    return [_mention(decision, tokens, rules) for decision in decisions]


def _mentions(tokens: Tokens, rules: Rules) -> list[Match]:
    """For each observation the longest matches that no exclusion overlaps, in order of place."""
    by_observation: dict[str, list[Match]] = {}
    for match in rules.mention_matcher.find(tokens.words):
        by_observation.setdefault(rules.mentions[match.rule].observation, []).append(match)
    kept: list[Match] = []
    for matches in by_observation.values():
        if len(matches) == 1:
            kept += [m for m in matches if rules.mentions[m.rule].kind != "exclude"]
            continue
        excluded = [m for m in matches if rules.mentions[m.rule].kind == "exclude"]
        kept += longest(m for m in matches if not any(_looks_only(m, other) for other in excluded))
    return sorted(kept)


def _looks_only(mention: Match, exclusion: Match) -> bool:
    """Whether words that only look like a mention overlap it, and are not a part of a longer one."""
    inside = mention.start <= exclusion.start and exclusion.end <= mention.end
    longer = mention.end - mention.start > exclusion.end - exclusion.start
    return mention.start < exclusion.end and exclusion.start < mention.end and not (inside and longer)


def _mention(decision: Decision, tokens: Tokens, rules: Rules) -> Mention:
    rule = rules.mentions[decision.match.rule]
    cue = decision.cue
    return Mention(
        observation=rule.observation,
        concept=rule.concept,
        state=decision.state,
        start=tokens.starts[decision.match.start],
        end=tokens.ends[decision.match.end - 1],
        rule=rule.id,
        cue=rules.cues[cue.rule].id if cue else "",
        cue_start=tokens.starts[cue.start] if cue else 0,
        cue_end=tokens.ends[cue.end - 1] if cue else 0,
    )


def label_mentions(mentions: list[Mention], rules: Rules | None = None) -> dict[str, State]:
    """The 14 states of a sentence from its mentions; No Finding as in `observations.sentence_no_finding`."""
    rules = rules or rules_for(ENGLISH)
    labels: dict[str, State] = dict.fromkeys(OBSERVATIONS)
    other = False
    for mention in mentions:
        if mention.observation == OTHER:
            other = other or mention.state in (PRESENT, UNCERTAIN)
            continue
        states = {mention.observation: mention.state}
        if mention.state in (PRESENT, UNCERTAIN):
            states |= rules.also.get(mention.rule, {})
        for name, state in states.items():
            if _STRENGTH[state] > _STRENGTH[labels[name]]:
                labels[name] = state
    labels[NO_FINDING] = sentence_no_finding(labels, other)
    return labels


def _states(sentence: str, language: str) -> tuple[State, ...]:
    rules = rules_for(language)
    labels = label_mentions(extract(sentence, rules), rules)
    return tuple(labels[name] for name in OBSERVATIONS)


_remembered = lru_cache(maxsize=_REMEMBERED_SENTENCES)(_states)


def label_sentence(text: str, language: str = ENGLISH) -> dict[str, State]:
    """The states of the 14 observations in one sentence, by name; each distinct sentence is read once.

    Args:
        text: one sentence, as :func:`mmclip.sentences.split` gives it.
        language: FLORES-200 code of a shipped rules file.
    """
    read = _remembered if len(text) <= _REMEMBERED_LENGTH else _states
    return dict(zip(OBSERVATIONS, read(text, language), strict=True))
