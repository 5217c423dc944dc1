"""Why a report has its labels: each mention with its place, rules and decision, as JSON and as a page of colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.labeling.extractor import Mention, extract
from mmclip.labeling.page import page
from mmclip.labeling.rules import Rules, rules_for
from mmclip.labeling.sections import described
from mmclip.languages import ENGLISH
from mmclip.observations import ABSENT, COLUMNS, OBSERVATIONS, PRESENT, UNCERTAIN, State
from mmclip.tables.files import PRIVATE, write_text

DECISIONS: dict[State, str] = {PRESENT: "present", ABSENT: "absent", UNCERTAIN: "uncertain", None: "nothing stated"}


def write_explanation(reports: pl.DataFrame, labels: pl.DataFrame, output: Path, rules: Rules) -> None:
    """Write ``<output>.html`` and ``<output>.json`` beside `output`, for their owner only (mode 0600).

    The JSON file holds an entry a report: `id`, `labels` (observation -> decision, those that have one) and `mentions`,
    each with the `column` of its text and what :func:`explain` says of it.

    Args:
        reports: the id column, then the text columns.
        labels: the 14 states of each report, in the order of `reports`.
        output: the labels' file; its ending is replaced.
    """
    entries, shown = [], []
    for (identity, *texts), states in zip(reports.iter_rows(), labels.select(COLUMNS).iter_rows(), strict=True):
        named = dict(zip(reports.columns[1:], texts, strict=True))
        decided = {name: DECISIONS[s] for name, s in zip(OBSERVATIONS, states, strict=True) if s is not None}
        found = {name: explain(text, rules) for name, text in named.items()}
        mentions = [{"column": name, **entry} for name, entries_ in found.items() for entry in entries_]
        entries.append({"id": identity, "labels": decided, "mentions": mentions})
        shown.append((identity, decided, [(name, text, found[name]) for name, text in named.items()]))
    write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", output.with_suffix(".json"), mode=PRIVATE)
    write_text(page(shown), output.with_suffix(".html"), mode=PRIVATE)


def explain(text: str, rules: Rules | None = None) -> list[dict[str, Any]]:
    """The mentions of a text in the order of its sentences; none of what stands below "Indication:" or "History:".

    Each has observation, concept, decision, phrase, start and end (``text[start:end]`` is the phrase), rule; and the
    cue that decided it: rule id, phrase and place, None where the mention's own state stands.

    Args:
        rules: of the text's language; English by default.
    """
    rules = rules or rules_for(ENGLISH)
    return [
        _entry(text, mention, start) for start, end in described(text) for mention in extract(text[start:end], rules)
    ]


def _entry(text: str, mention: Mention, offset: int) -> dict[str, Any]:
    start, end = offset + mention.start, offset + mention.end
    cue: dict[str, Any] = {"cue": None, "cue_phrase": None, "cue_start": None, "cue_end": None}
    if mention.cue:
        left, right = offset + mention.cue_start, offset + mention.cue_end
        cue = {"cue": mention.cue, "cue_phrase": text[left:right], "cue_start": left, "cue_end": right}
    return {
        "observation": mention.observation,
        "concept": mention.concept,
        "decision": DECISIONS[mention.state],
        "phrase": text[start:end],
        "start": start,
        "end": end,
        "rule": mention.rule,
        **cue,
    }
