"""The rules of a language: read from YAML, checked, and compiled into two matchers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from mmclip.config.base import Settings, load
from mmclip.errors import UserError
from mmclip.labeling.patterns import Matcher
from mmclip.observations import ABSENT, OBSERVATIONS, PRESENT, UNCERTAIN, State

OTHER = "Other"
"""Abnormalities outside the 14 observations: they block No Finding and are no label."""

StateName = Literal["present", "absent", "uncertain"]
STATES: dict[str, int] = {"present": PRESENT, "absent": ABSENT, "uncertain": UNCERTAIN}

Role = Literal[
    "uncertain_first",
    "negation",
    "uncertain",
    "drop",
    "normal",
    "enlarged",
    "borderline",
    "undetermined",
    "break",
    "opener",
    "status",
    "verb",
    "existential",
    "and",
    "or",
    "versus",
    "unchanged",
    "neutral",
]
REACHING: frozenset[str] = frozenset({"uncertain_first", "negation", "uncertain", "drop"})
"""Roles of cues that reach mentions before or after them."""
HEDGING: frozenset[str] = REACHING | {"borderline"}
"""Roles of cues that decide the state of findings: "borderline" does so for the next one."""
PREDICATES: frozenset[str] = frozenset({"normal", "enlarged", "borderline", "undetermined"})
"""Roles of cues that state the size of anatomy."""


class MentionRule(Settings):
    """What names an observation.

    Attributes:
        id: unique among the mentions.
        observation: one of the 14 (never No Finding), or ``Other``.
        concept: the sub-concept, for people.
        kind: finding, anatomy or exclude; see the head of the rules file.
        patterns: in the language of :mod:`mmclip.labeling.patterns`.
        state: what the mention states where no cue reaches it.
        also: states of further observations where this one is present or uncertain.
        reason: why the rule is so.
        examples: sentence -> state of `observation` in it (None: not mentioned).
    """

    id: str
    observation: str
    concept: str
    kind: Literal["finding", "anatomy", "exclude"]
    patterns: tuple[str, ...] = Field(min_length=1)
    state: StateName = "present"
    also: dict[str, StateName] = Field(default_factory=dict)
    reason: str
    examples: dict[str, StateName | None] = Field(min_length=1)

    @field_validator("observation")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (*OBSERVATIONS[1:], OTHER):
            raise ValueError(f"not an observation that text can mention; one of {', '.join(OBSERVATIONS[1:])}, {OTHER}")
        return value


class CueRule(Settings):
    """What decides the state of the mentions it reaches, or shapes the reach of other cues.

    Attributes:
        id, patterns, reason: as for a mention.
        role: see the head of the rules file.
        direction: where a cue that reaches looks for mentions; ``either`` is forward where one follows, else backward.
        commas: whether an uncertain cue reaches over commas that no "and" or "or" closes.
        examples: sentence -> states of observations in it.
    """

    id: str
    role: Role
    direction: Literal["forward", "backward", "either"] = "forward"
    commas: bool = False
    patterns: tuple[str, ...] = Field(min_length=1)
    reason: str
    examples: dict[str, dict[str, StateName | None]] = Field(min_length=1)


class RulesFile(Settings):
    """A rules file as it is written."""

    language: str
    words: dict[str, str] = Field(default_factory=dict)
    mentions: tuple[MentionRule, ...]
    cues: tuple[CueRule, ...]


class Rules:
    """The rules of one language, compiled.

    Attributes:
        mentions, cues: the rules, numbered as the matchers number them.
        also: id of a mention rule -> states of further observations where its mention is present or uncertain.
        mention_matcher, cue_matcher: find them in a sentence's words.
    """

    def __init__(self, file: RulesFile, where: str = "labeling rules") -> None:
        for kind, rules in (("mention", file.mentions), ("cue", file.cues)):
            ids = [rule.id for rule in rules]
            repeated = sorted({name for name in ids if ids.count(name) > 1})
            if repeated:
                raise UserError(f"{where}: {kind} {repeated[0]!r} occurs twice; ids are unique")
        self.language = file.language
        self.mentions = file.mentions
        self.cues = file.cues
        self.also: dict[str, dict[str, State]] = {
            rule.id: {name: STATES[state] for name, state in rule.also.items()} for rule in file.mentions if rule.also
        }
        self.mention_matcher = Matcher([_filled(rule.patterns, file.words, where) for rule in file.mentions])
        self.cue_matcher = Matcher([_filled(rule.patterns, file.words, where) for rule in file.cues])

    def examples(self) -> list[tuple[str, str, dict[str, State]]]:
        """Every example of every rule: (rule id, sentence, states)."""
        mentions = [
            (rule.id, text, {rule.observation: STATES[state] if state else None})
            for rule in self.mentions
            for text, state in rule.examples.items()
        ]
        cues = [
            (rule.id, text, {name: STATES[state] if state else None for name, state in states.items()})
            for rule in self.cues
            for text, states in rule.examples.items()
        ]
        return [*mentions, *cues]


def _filled(patterns: tuple[str, ...], words: dict[str, str], where: str) -> list[str]:
    """The patterns with the named lists of words put in."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise UserError(f"{where}: no list of words is called {match[1]!r}; known: {', '.join(words)}")
        return f"({words[match[1]]})"

    return [re.sub(r"\{(\w+)\}", fill, pattern) for pattern in patterns]


@cache
def rules_for(language: str) -> Rules:
    """The shipped rules of a language (FLORES-200 code), loaded once.

    Raises:
        UserError: no rules are shipped for it.
    """
    folder = Path(__file__).parent / "rules"
    path = folder / f"{language}.yaml"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise UserError(
            f"labeling: there are no rules for reports in {language!r} (there are for {known}); "
            "translate them into English first"
        )
    return Rules(load(RulesFile, path), str(path))
