"""What the filter rejects: of the faults that were injected into the translations; elsewhere, for which reasons."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmclip.errors import UserError
from mmclip.languages import LANGUAGES
from mmclip.report.disclosure import Count, Disclosure

NOT_INJECTED = "not_injected"

NAMES = {
    "loop": "repeats itself",
    "truncate": "is cut off",
    "drop_negation": "loses a negation",
    "swap_side": "swaps left and right",
    "change_number": "changes a number",
    "copy": "is not translated",
    "wrong_language": "is in another language",
    "empty": "is empty",
}
"""What a translation with each kind of fault does."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault: how many were injected, how many the filter rejected."""

    kind: str
    name: str
    injected: Count
    caught: Count
    share: float | None


@dataclass(frozen=True)
class FilterFaults:
    """The filter against the known faults.

    Attributes:
        kinds: of faults, by recall, the best first.
        recall: share of all injected faults that were rejected.
        false_alarms: share of the sentences without an injected fault that were rejected.
        by_language: language -> kind (also ``not_injected``) -> share, None where it must not be shown.
    """

    kinds: tuple[Kind, ...]
    injected: Count
    recall: float | None
    false_alarms: float | None
    by_language: dict[str, dict[str, float | None]]

    @property
    def most(self) -> int:
        """The largest number of one kind, which scales the bars."""
        return max((one.injected.number for one in self.kinds), default=1) or 1


@dataclass(frozen=True)
class FilterReasons:
    """What was rejected, and why, where nobody knows which translations are wrong.

    Attributes:
        sentences, rejected: numbers of sentences in all languages; `share` is their quotient.
        reasons: (name, sentences), the most frequent first; a sentence may have several.
        by_language: language -> share of its sentences that was rejected.
    """

    sentences: Count
    rejected: Count
    share: float | None
    reasons: tuple[tuple[str, Count], ...]
    by_language: dict[str, float | None]

    @property
    def most(self) -> int:
        """The number of the most frequent reason, which scales the bars."""
        return max((count.number for _, count in self.reasons), default=1) or 1


@dataclass(frozen=True)
class _Decisions:
    """The content of faults_report.json.

    Attributes:
        overall: kind -> rejected sentences, all sentences.
        by_language: language, kind, rejected sentences, all sentences.
        reasons: reason -> sentences.
    """

    overall: dict[str, tuple[int, int]]
    by_language: list[tuple[str, str, int, int]]
    reasons: dict[str, int]


def _read(results: Path) -> _Decisions | None:
    """None where the file is missing.

    Raises:
        UserError: it is not what it should be.
    """
    path = results / "filter" / "filtered" / "faults_report.json"
    if not path.is_file():
        return None
    reasons: dict[str, int] = {}
    try:
        content: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
        for row in content["reasons"]:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["sentences"]
        return _Decisions(
            {row["kind"]: (row["rejected"], row["sentences"]) for row in content["overall"]},
            [(row["language"], row["kind"], row["rejected"], row["sentences"]) for row in content["by_language"]],
            reasons,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a faults_report.json; run measure-filter again") from error


def filter_reasons(results: Path, disclosure: Disclosure) -> FilterReasons | None:
    """Rejected sentences by reason; None where nothing was filtered, or faults were injected, which says more."""
    decisions = _read(results)
    if decisions is None or set(decisions.overall) != {NOT_INJECTED}:
        return None
    rejected, sentences = decisions.overall[NOT_INJECTED]
    shown = disclosure.parts([rejected, sentences - rejected])
    ranked = sorted(decisions.reasons.items(), key=lambda pair: -pair[1])
    shares = {code: disclosure.share(hits, total) for code, _, hits, total in decisions.by_language}
    return FilterReasons(
        sentences=disclosure.count(sentences),
        rejected=shown[0],
        share=disclosure.share(rejected, sentences),
        reasons=tuple((reason, disclosure.count(number)) for reason, number in ranked),
        by_language={code: shares[code] for code in LANGUAGES if code in shares},
    )


def filter_faults(results: Path, disclosure: Disclosure) -> FilterFaults | None:
    """What was caught of the injected faults; None where nothing was filtered or no fault was injected."""
    decisions = _read(results)
    kinds = {kind: pair for kind, pair in decisions.overall.items() if kind != NOT_INJECTED} if decisions else {}
    if decisions is None or not kinds:
        return None
    caught, injected = (sum(pair[i] for pair in kinds.values()) for i in (0, 1))
    table: dict[str, dict[str, float | None]] = {}
    for language, kind, rejected, sentences in decisions.by_language:
        table.setdefault(language, {})[kind] = disclosure.share(rejected, sentences)
    return FilterFaults(
        kinds=tuple(
            sorted(
                (_kind(kind, *pair, disclosure=disclosure) for kind, pair in kinds.items()),
                key=lambda one: -(one.share or 0),
            )
        ),
        injected=disclosure.count(injected),
        recall=disclosure.share(caught, injected),
        false_alarms=disclosure.share(*decisions.overall.get(NOT_INJECTED, (0, 0))),
        by_language={code: table[code] for code in LANGUAGES if code in table and set(table[code]) != {NOT_INJECTED}},
    )


def _kind(kind: str, rejected: int, sentences: int, disclosure: Disclosure) -> Kind:
    caught, _ = disclosure.parts([rejected, sentences - rejected])
    return Kind(kind, NAMES.get(kind, kind), disclosure.count(sentences), caught, disclosure.share(rejected, sentences))
