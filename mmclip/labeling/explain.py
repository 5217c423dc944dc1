"""Why a report has its labels: a page with coloured phrases, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.labeling.extractor import Mention, extract
from mmclip.observations import ABSENT, PRESENT, UNCERTAIN, State
from mmclip.sentences import spans
from mmclip.tables.files import PRIVATE, write_text

PAGE_LIMIT = 500
"""Reports shown on the page; the JSON file holds all."""

_NAMES: dict[State, str] = {PRESENT: "present", ABSENT: "absent", UNCERTAIN: "uncertain", None: "nothing stated"}
_CLASSES: dict[State, str] = {PRESENT: "present", ABSENT: "absent", UNCERTAIN: "uncertain", None: "nothing"}

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Labels explained</title><style>
body { font: 15px/1.6 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { font-size: 1em; margin: 2em 0 .3em } p { margin: .3em 0; white-space: pre-wrap }
mark { color: inherit; border-radius: 3px; padding: 0 2px }
.present { background: #f6b8ae } .absent { background: #bfe3c0 }
.uncertain { background: #f7df9c } .nothing { background: #dddddd }
u { text-decoration-thickness: 2px; text-underline-offset: 3px }
.notice { border-left: 4px solid #c33; padding-left: .8em }
</style></head><body>
<h1>Labels explained</h1>
<p class="notice">This page holds report text.</p>
<p><mark class="present">present</mark> <mark class="absent">absent</mark> <mark class="uncertain">uncertain</mark>
<mark class="nothing">asked for, nothing stated</mark>; underlined: the cue that decided. Point at a phrase to see its
observation and rules.</p>
"""


def write_explanation(reports: pl.DataFrame, id_column: str, output: Path) -> None:
    """Write ``<output>.html`` and ``<output>.json`` beside `output`, for their owner only (mode 0600).

    Args:
        reports: `id_column` and text columns.
        output: the labels' file; its ending is replaced.
    """
    texts = [name for name in reports.columns if name != id_column]
    found = [
        (str(row[id_column]), name, str(row[name]), explain(str(row[name])))
        for row in reports.iter_rows(named=True)
        for name in texts
    ]
    rows = [{"id": identity, "column": name, **entry} for identity, name, _, entries in found for entry in entries]
    write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", output.with_suffix(".json"), mode=PRIVATE)
    write_text(_page(found, reports.height, len(texts)), output.with_suffix(".html"), mode=PRIVATE)


def explain(text: str) -> list[dict[str, Any]]:
    """The mentions of a text: observation, concept, state, start and end (characters of `text`), rule, cue, its place.

    `cue` is "" and its place None where the mention's own state stands.
    """
    return [_entry(text, mention, start) for start, end in spans(text) for mention in extract(text[start:end])]


def _entry(text: str, mention: Mention, offset: int) -> dict[str, Any]:
    start, end = offset + mention.start, offset + mention.end
    return {
        "observation": mention.observation,
        "concept": mention.concept,
        "state": _NAMES[mention.state],
        "phrase": text[start:end],
        "start": start,
        "end": end,
        "rule": mention.rule,
        "cue": mention.cue,
        "cue_start": offset + mention.cue_start if mention.cue else None,
        "cue_end": offset + mention.cue_end if mention.cue else None,
    }


def _page(found: list[tuple[str, str, str, list[dict[str, Any]]]], reports: int, texts: int) -> str:
    parts = [_HEAD]
    if reports > PAGE_LIMIT:
        parts.append(f"<p>The first {PAGE_LIMIT} of {reports} reports; the JSON file beside this page holds all.</p>\n")
    for identity, name, text, entries in found[: PAGE_LIMIT * texts]:
        heading = f"{identity} · {name}" if texts > 1 else identity
        parts.append(f"<h2>{escape(heading)}</h2>\n<p>{''.join(_marked(text, entries))}</p>\n")
    return "".join([*parts, "</body></html>\n"])


def _marked(text: str, entries: list[dict[str, Any]]) -> Iterator[str]:
    """The text as HTML: mentions as <mark>, cues as <u>, cut wherever one begins or ends."""
    edges = {0, len(text)}
    for entry in entries:
        edges |= {
            edge for edge in (entry["start"], entry["end"], entry["cue_start"], entry["cue_end"]) if edge is not None
        }
    cuts = sorted(edges)
    number = {cut: i for i, cut in enumerate(cuts)}
    opened: dict[int, list[dict[str, Any]]] = {}
    cued: set[int] = set()
    for entry in entries:
        for cut in cuts[number[entry["start"]] : number[entry["end"]]]:
            opened.setdefault(cut, []).append(entry)
        if entry["cue"]:
            cued.update(cuts[number[entry["cue_start"]] : number[entry["cue_end"]]])
    for start, end in pairwise(cuts):
        piece = escape(text[start:end])
        if start in cued:
            piece = f"<u>{piece}</u>"
        if start in opened:
            piece = _mark(piece, opened[start])
        yield piece


def _mark(piece: str, entries: list[dict[str, Any]]) -> str:
    states = {name: state for state, name in _NAMES.items()}
    title = "; ".join(
        f"{e['observation']}: {e['state']} (rule {e['rule']}{', cue ' + e['cue'] if e['cue'] else ''})" for e in entries
    )
    return f'<mark class="{_CLASSES[states[entries[0]["state"]]]}" title="{escape(title, quote=True)}">{piece}</mark>'
