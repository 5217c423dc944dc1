"""Clauses of a sentence, and how far a cue reaches.

A cue reaches over the members of a list and stops where a new statement begins: at ``but``, ``with``, a mark, a second
verb, or after a comma or ``and`` that is followed by an article, a describing word, another cue or a verb of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmclip.labeling.patterns import Match, longest
from mmclip.labeling.rules import PREDICATES, REACHING, Rules

REACH = 60
"""Words that a cue reaches at most: bounds the work on a text without marks, far beyond any real list."""

_OWN_STATEMENT = PREDICATES | {"negation", "uncertain_first", "uncertain", "drop"}


class Clauses:
    """A sentence's words with their cues.

    Attributes:
        words: the words, lower case.
        cues: the cues found, leftmost and longest, never overlapping.
        cue_at: the cue that covers each word, or None.
        roles: the role of that cue, or ``""``.
    """

    def __init__(self, words: Sequence[str], rules: Rules, anatomy: frozenset[int] = frozenset()) -> None:
        """`anatomy`: the words at which a mention of anatomy begins."""
        self.words = words
        self._rules = rules.cues
        self._anatomy = anatomy
        self.cues: list[Match] = longest(rules.cue_matcher.find(words))
        self.roles: list[str] = [""] * len(words)
        self.cue_at: list[Match | None] = [None] * len(words)
        for cue in self.cues:
            role = self._rules[cue.rule].role
            for i in range(cue.start, cue.end):
                self.roles[i] = role
                self.cue_at[i] = cue
        self._begins = [self._begins_statement(i) for i in range(len(words))]

    def role(self, cue: Match) -> str:
        """The role of a cue."""
        return self._rules[cue.rule].role

    def direction(self, cue: Match) -> str:
        """Where a cue looks for mentions."""
        return self._rules[cue.rule].direction

    def new_statement(self, start: int, end: int) -> bool:
        """Whether a new statement begins with one of these words."""
        return any(self._begins[start:end])

    def unchanged(self, at: int) -> bool:
        """Whether "no change in" and the like stands before the word `at` in its statement."""
        for i in range(at, max(-1, at - REACH), -1):
            if self.roles[i] == "unchanged":
                return True
            if self._begins[i]:
                return False
        return False

    def _begins_statement(self, at: int) -> bool:
        """Whether a new statement begins with the word `at`, whatever cue stands before it."""
        role = self.roles[at]
        if role == "break":
            return True
        if role == "opener" and self.words[at] == "there":
            return True
        if at == 0 or self.roles[at - 1] != "and" or role == "and":
            return False
        if role in ("opener", "negation", "uncertain_first", "uncertain", "drop", "verb"):
            return True
        if self._has_own_predicate(at):
            return True
        described = role == "status" or role in PREDICATES or any(i in self._anatomy for i in range(at, at + 3))
        return described and not self._list_goes_on(at)

    def _has_own_predicate(self, at: int) -> bool:
        """Whether the part from `at` to the next join has a verb that says more than that something is there."""
        for i in range(at, min(len(self.words), at + REACH)):
            role = self.roles[i]
            if role in ("break", "and", "or", "versus"):
                return False
            if role == "verb":
                return not self._only_exists(i + 1)
        return False

    def _only_exists(self, at: int) -> bool:
        """Whether what follows a verb is ``seen``, ``identified`` ..., perhaps after an adverb or two."""
        return any(self.roles[i] == "existential" for i in range(at, min(len(self.words), at + 3)))

    def _list_goes_on(self, at: int) -> bool:
        """Whether ``or`` follows before the clause ends: then what looks like a statement is a member of a list."""
        for i in range(at, min(len(self.words), at + REACH)):
            role = self.roles[i]
            if role in ("break", "verb", "uncertain", "uncertain_first", "negation"):
                return False
            if role == "or":
                return True
        return False

    def _list_closes(self, at: int) -> bool:
        """Whether a comma at `at` joins members of a list that a later ``and``, ``or`` or ``versus`` closes."""
        for i in range(at + 1, min(len(self.words), at + REACH)):
            role = self.roles[i]
            if role in ("break", "verb") or self._begins[i]:
                return False
            if role in ("or", "versus") or (role == "and" and self.words[i] != ","):
                return True
        return False

    def forward(self, cue: Match, mentioned: frozenset[int]) -> int:
        """The end (exclusive) of what a cue reaches to its right.

        Args:
            mentioned: words at which a mention begins; a verb after one of them closes the statement.
        """
        enumerates = self._rules[cue.rule].commas
        hedge = self.role(cue) == "uncertain" and not enumerates
        asks = self.role(cue) == "drop"  # "follow up for resolution of pneumonia" asks for all of it
        passed = verb = False
        stop = min(len(self.words), cue.end + REACH)
        for i in range(cue.end, stop):
            role = self.roles[i]
            if self._begins[i] and i > cue.end and not (enumerates and role == "status"):
                return i
            if role == "break" or (role in ("negation", "uncertain_first", "drop") and not asks):
                return i
            if role == "verb" and passed:
                verb = True
            elif role in ("and", "or", "versus"):
                comma = self._is_comma(i)
                if (verb and role == "and") or (hedge and passed and comma and not self._list_closes(i)):
                    return i
            passed = passed or i in mentioned
        return stop

    def backward(self, cue: Match) -> int:
        """The start of what a cue reaches to its left."""
        first = max(0, cue.start - REACH)
        joined = False
        nearest = cue.start - 1
        while nearest >= first and self.roles[nearest] == "verb":  # the cue's own verb: "effusion is likely"
            nearest -= 1
        for i in range(nearest, first - 1, -1):
            role = self.roles[i]
            if role in ("break", "verb") or (role in REACHING and role != "uncertain"):
                return i + 1
            if role in ("and", "or"):
                comma = self._is_comma(i)
                if i < nearest and ((comma and not joined) or self._verb_before(i)):
                    return i + 1
                joined = joined or not comma
            if self._begins[i] and role != "and":
                return i
        return first

    def has_complement(self, cue: Match) -> bool:
        """Whether a cue after a comma weighs words of its own: "effusion, possibly from pleuritis" states effusion."""
        before, after = cue.start - 1, cue.end
        return before >= 0 and self._is_comma(before) and after < len(self.words) and not self.roles[after]

    def _is_comma(self, at: int) -> bool:
        """Whether the word is a comma that stands alone, not that of ", and" or ", or"."""
        cue = self.cue_at[at]
        return self.words[at] == "," and cue is not None and cue.end == at + 1

    def _verb_before(self, at: int) -> bool:
        """Whether the clause that ends at `at` has a verb of its own."""
        for i in range(at - 1, max(-1, at - REACH), -1):
            if self.roles[i] == "verb":
                return True
            if self.roles[i] == "break":
                return False
        return False
