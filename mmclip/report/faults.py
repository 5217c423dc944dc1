"""What the filter caught of the faults that were injected into the translations, by kind and by language."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmclip.errors import UserError
from mmclip.languages import LANGUAGES
from mmclip.report.disclosure import Count, Disclosure

CLEAN = "clean"

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
        false_alarms: share of faultless sentences that were rejected.
        by_language: language -> kind (also ``clean``) -> share, None where it must not be shown.
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


def filter_faults(results: Path, disclosure: Disclosure) -> FilterFaults | None:
    """Read faults_report.json; None where it is missing or no fault was injected."""
    path = results / "filter" / "filtered" / "faults_report.json"
    if not path.is_file():
        return None
    try:
        content: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
        overall = {row["kind"]: (row["rejected"], row["sentences"]) for row in content["overall"]}
        rows = [(row["language"], row["kind"], row["rejected"], row["sentences"]) for row in content["by_language"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a faults_report.json; run measure-filter again") from error
    kinds = {kind: pair for kind, pair in overall.items() if kind != CLEAN}
    if not kinds:
        return None
    caught, injected = (sum(pair[i] for pair in kinds.values()) for i in (0, 1))
    table: dict[str, dict[str, float | None]] = {}
    for language, kind, rejected, sentences in rows:
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
        false_alarms=disclosure.share(*overall.get(CLEAN, (0, 0))),
        by_language={code: table[code] for code in LANGUAGES if code in table and set(table[code]) != {CLEAN}},
    )


def _kind(kind: str, rejected: int, sentences: int, disclosure: Disclosure) -> Kind:
    caught, _ = disclosure.parts([rejected, sentences - rejected])
    return Kind(kind, NAMES.get(kind, kind), disclosure.count(sentences), caught, disclosure.share(rejected, sentences))
