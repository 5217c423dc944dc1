"""Writes the English report of a simulated study, with known hedges and known errors.

The writer first decides what the report believes: every finding of the film and some absent ones become topics, a topic
may be hedged, and a few beliefs are false. Every sentence then follows from the beliefs, so a report never contradicts
itself; a sentence is wrong where it contradicts the film. Only training frames are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from mmclip import languages
from mmclip.languages import ENGLISH
from mmclip.observations import ABSENT, PRESENT, UNCERTAIN
from mmclip.phantom import phrasebook
from mmclip.phantom.phrasebook import Frame, Value
from mmclip.phantom.truth import FINDINGS, SEVERITIES, SIDED, Finding, Truth

SENTENCES = (5, 10)
"""Least and most sentences of a report."""

HEDGED_ABSENT = 0.25
"""An absent topic is hedged this many times as often as a shown one: about a third of all hedges are about nothing."""

_SALT = 0x5EED
"""Parts the report's random numbers from the image's, which start from the same seed."""


@dataclass(frozen=True)
class Statement:
    """One sentence of a report.

    Attributes:
        section: ``findings`` or ``impression``.
        frame: id of its frame.
        slots: what was filled in.
        text: the English sentence.
        states: what it asserts (1, 0 or -1) of the observations it mentions.
        is_wrong: it contradicts the film.
    """

    section: str
    frame: str
    slots: Mapping[str, Value]
    text: str
    states: Mapping[str, int]
    is_wrong: bool


@dataclass(frozen=True)
class Report:
    """The report of one study: its sentences in order."""

    study_id: str
    statements: tuple[Statement, ...]

    @property
    def findings(self) -> str:
        """The findings section, its sentences joined by spaces."""
        return self._section("findings")

    @property
    def impression(self) -> str:
        """The impression section, its sentences joined by spaces."""
        return self._section("impression")

    @property
    def text(self) -> str:
        """Both sections under their headings."""
        return f"FINDINGS: {self.findings} IMPRESSION: {self.impression}"

    def _section(self, name: str) -> str:
        return " ".join(statement.text for statement in self.statements if statement.section == name)


@dataclass(frozen=True)
class _Topic:
    """What the report believes of an observation: a state, and what it would look like if it were there."""

    state: int
    finding: Finding


def write(truth: Truth, *, uncertain_rate: float = 0.12, wrong_rate: float = 0.02) -> Report:
    """The report of a study, a pure function of the arguments.

    Args:
        uncertain_rate: the share of shown findings that are hedged (state -1); absent findings that the report brings
            up are hedged :data:`HEDGED_ABSENT` times as often.
        wrong_rate: the chance that what the report believes of a finding it brings up is false: a shown one denied or
            put on the other side, an absent one claimed. Its statements then have ``is_wrong``.
    """
    rng = Random(truth.seed ^ _SALT)
    writer = _Writer(truth, dict(_beliefs(truth, rng, uncertain_rate, wrong_rate)), rng)
    return Report(truth.study_id, tuple(writer.write()))


def describe(truth: Truth, language: str) -> str:
    """What the film shows in the held-out wordings of a language, for instance retrieval.

    One sentence a finding, with its side, zone, severity or size; a held-out normal sentence for a normal film.

    Raises:
        UserError: there is no phrase book for the language.
    """
    sentences = [
        phrasebook.realise(language, frame.id, _slots(frame, finding))
        for finding in truth.findings
        for frame in phrasebook.frames(role="held_out", kind="present", finding=finding.observation)
        if frame.slots
    ]
    if not sentences:
        normal = Random(truth.seed ^ _SALT).choice(phrasebook.frames(role="held_out", kind="normal"))
        sentences = [phrasebook.realise(language, normal.id, {})]
    return ("" if languages.language(language).tokens == "character" else " ").join(sentences)


def _beliefs(truth: Truth, rng: Random, uncertain_rate: float, wrong_rate: float) -> Iterator[tuple[str, _Topic]]:
    for finding in truth.findings:
        state, believed = PRESENT, finding
        roll = rng.random()
        if roll < wrong_rate:
            state, believed = _error(finding, rng)
        elif roll < wrong_rate + uncertain_rate:
            state = UNCERTAIN
        yield finding.observation, _Topic(state, believed)
    absent = [name for name in FINDINGS if name not in truth.observations]
    for name in rng.sample(absent, rng.randint(2, 4)):
        roll = rng.random()
        claimed, hedged = roll < wrong_rate, roll < wrong_rate + HEDGED_ABSENT * uncertain_rate
        yield name, _Topic(PRESENT if claimed else UNCERTAIN if hedged else ABSENT, _imagined(name, rng))


def _error(finding: Finding, rng: Random) -> tuple[int, Finding]:
    """A false belief about a shown finding: half of those with a side are put on the other, the rest are denied."""
    if finding.observation in SIDED and rng.random() < 0.5:
        other = {"left": "right", "right": "left", "both": rng.choice(["left", "right"])}
        return PRESENT, replace(finding, side=other[finding.side])
    return ABSENT, finding


def _imagined(name: str, rng: Random) -> Finding:
    """How an absent finding would be described if the report brought it up."""
    sides = phrasebook.values("side", name) if name in SIDED else ("both",)
    frames = phrasebook.frames(role="training", finding=name)
    sized = any("size_mm" in frame.slots or "size_cm" in frame.slots for frame in frames)
    return Finding(
        observation=name,
        side=str(rng.choice(sides)),
        zone=str(rng.choice(phrasebook.values("zone", name))),
        severity=rng.choice(SEVERITIES),
        size_mm=int(rng.choice(phrasebook.values("size_mm", name))) if sized else 0,
    )


def _slots(frame: Frame, finding: Finding) -> dict[str, Value]:
    """The frame's slots filled from a finding."""
    filled: dict[str, Value] = {
        "side": finding.side,
        "zone": finding.zone,
        "severity": finding.severity,
        "change": finding.change,
        "size_mm": finding.size_mm,
        "size_cm": finding.size_mm / 10,
    }
    return {slot: filled[slot] for slot in frame.slots}


def _contradicts(frame: Frame, slots: Mapping[str, Value], truth: Truth) -> bool:
    """Whether a sentence is false of the film: it claims what is not there or is elsewhere, or denies what is there."""
    shown = {finding.observation: finding for finding in truth.findings}
    if any(state == PRESENT and name not in shown for name, state in frame.states.items()):
        return True
    if PRESENT in frame.states.values() and frame.finding is not None:
        return _slots(frame, shown[frame.finding]) != slots
    return bool(frame.rules_out & truth.observations)


class _Writer:
    """Chooses the sentences of one report, keeping account of what has been stated and denied."""

    def __init__(self, truth: Truth, beliefs: Mapping[str, _Topic], rng: Random) -> None:
        self.truth, self.beliefs, self.rng = truth, beliefs, rng
        self.positive = [topic for topic in beliefs.values() if topic.state != ABSENT]
        self.stated = {topic.finding.observation for topic in self.positive}
        self.denied = set(beliefs) - self.stated
        self.used: set[str] = set()

    def write(self) -> list[Statement]:
        """The statements in order: technique, then what is there, not there and normal in any order; the impression."""
        opening = self._other("findings", 0.4)
        body = [*self._mentions("findings", len(self.positive), 1.0), *self._denials()]
        short, room = (limit - 1 - len(opening) - len(body) for limit in SENTENCES)
        body += self._fill(max(short, min(room, self.rng.randint(0, 2))))
        self.rng.shuffle(body)
        findings = [*opening, *body]
        room = SENTENCES[1] - len(findings)
        impression = [*self._mentions("impression", room, 0.75)] or [*self._conclusion()]
        if self.positive and len(impression) < room:
            impression += self._other("impression", 0.3)
        return [*findings, *impression]

    def _mentions(self, section: str, room: int, chance: float) -> Iterator[Statement]:
        """A sentence for each positive topic, with some chance; for the first one always."""
        for number, topic in enumerate(self.positive[:room]):
            if number == 0 or self.rng.random() < chance:
                first, second = self._wordings(topic)
                yield from self._one_of(first, section, topic.finding) or self._one_of(second, section, topic.finding)

    def _wordings(self, topic: _Topic) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
        """The frames to choose from, and those to fall back on: hedges, or plain wordings and comparisons."""
        name = topic.finding.observation
        if topic.state == UNCERTAIN:
            return phrasebook.frames(role="training", kind="uncertain", finding=name), ()
        present = phrasebook.frames(role="training", kind="present", finding=name)
        comparison = phrasebook.frames(role="training", kind="comparison", finding=name)
        return (comparison, present) if topic.finding.change and self.rng.random() < 0.5 else (present, comparison)

    def _denials(self) -> Iterator[Statement]:
        """Each negative topic denied once, alone or together with others."""
        lists = phrasebook.frames(role="training", kind="negative_list")
        said: set[str] = set()
        for name in [name for name, topic in self.beliefs.items() if topic.state == ABSENT]:
            if name in said:
                continue
            alone = phrasebook.frames(role="training", kind="absent", finding=name)
            together = tuple(frame for frame in lists if name in frame.states and not said & set(frame.states))
            first, second = (together, alone) if self.rng.random() < 0.5 else (alone, together)
            for statement in self._one_of(first, "findings") or self._one_of(second, "findings"):
                said |= set(statement.states)
                yield statement

    def _fill(self, count: int) -> Iterator[Statement]:
        """Up to `count` sentences on what is normal or absent, none of which only repeats another."""
        frames = [
            f for kind in ("normal", "absent", "negative_list") for f in phrasebook.frames(role="training", kind=kind)
        ]
        said: set[str] = set().union(*(phrasebook.frame(name).rules_out for name in self.used))
        self.rng.shuffle(frames)
        frames.sort(key=lambda frame: frame.kind != "normal")
        for frame in frames:
            if count > 0 and not frame.rules_out <= said:
                for statement in self._one_of((frame,), "findings"):
                    count -= 1
                    said |= frame.rules_out
                    yield statement

    def _conclusion(self) -> list[Statement]:
        """The impression of a report without a positive statement."""
        normal = self._one_of((phrasebook.frame("normal_chest"),), "impression") if self.rng.random() < 0.7 else []
        return normal or self._one_of(phrasebook.frames(role="training", kind="negative_list"), "impression")

    def _other(self, section: str, chance: float) -> list[Statement]:
        """Perhaps a sentence on technique or advice."""
        frames = [f for f in phrasebook.frames(role="training", kind="other") if f.section == section]
        return self._one_of(frames, section) if self.rng.random() < chance else []

    def _one_of(self, frames: Iterable[Frame], section: str, finding: Finding | None = None) -> list[Statement]:
        """A sentence of one of the frames that fit, taken account of; none if no frame fits."""
        fitting = [frame for frame in frames if self._fits(frame, section, finding)]
        if not fitting:
            return []
        frame = self.rng.choice(fitting)
        slots = _slots(frame, finding) if finding else {}
        self.used.add(frame.id)
        self.stated |= {name for name, state in frame.states.items() if state != ABSENT}
        self.denied |= frame.rules_out
        text = phrasebook.realise(ENGLISH, frame.id, slots)
        return [Statement(section, frame.id, slots, text, frame.states, _contradicts(frame, slots, self.truth))]

    def _fits(self, frame: Frame, section: str, finding: Finding | None) -> bool:
        """Whether a sentence may stand here without repeating or contradicting another."""
        beside = {name for name, state in frame.states.items() if state != ABSENT and name != frame.finding}
        return (
            frame.section in (section, "both")
            and frame.id not in self.used
            and not frame.rules_out & self.stated
            and not beside & (self.beliefs.keys() | self.denied)
            and not frame.excludes & self.used
            and (finding is None or all(value in frame.slots[name] for name, value in _slots(frame, finding).items()))
        )
