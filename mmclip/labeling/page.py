"""The page that shows reports with their mentions in colour: one file, no script, nothing loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from mmclip.observations import NO_FINDING

PAGE_LIMIT = 500
"""Reports shown; the JSON file beside the page holds all."""

_CLASSES = {"present": "present", "absent": "absent", "uncertain": "uncertain", "nothing stated": "nothing"}

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --ink: #1c2330; --soft: #4f5968; --line: #dde1e8;
  --present: #ffc9bd; --absent: #c4e8cb; --uncertain: #ffe39b; --nothing: #dfe3ea; --warn: #b3261e }
@media (prefers-color-scheme: dark) { :root { --page: #12151b; --card: #1b2029; --ink: #e6e9ef; --soft: #aab4c3;
  --line: #2f3744; --present: #7a3128; --absent: #23573a; --uncertain: #6b5313; --nothing: #3b4452; --warn: #ff8a7a } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 54rem; padding: 1.2rem 1rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.65 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; margin: .2rem 0 .6rem } h2 { font-size: 1rem; margin: 0 0 .5rem }
h3 { font-size: .78rem; font-weight: 600; letter-spacing: .04em; text-transform: uppercase; color: var(--soft);
  margin: .8rem 0 .1rem }
article { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .9rem 1rem;
  margin: 1rem 0 }
.text { margin: 0; white-space: pre-wrap; line-height: 1.9 } .soft, .empty { color: var(--soft) } .empty { margin: 0 }
mark, .chip { color: inherit; border-radius: 5px; padding: .08em .3em }
.chip { display: inline-block; font-size: .82rem; line-height: 1.5; padding: .05rem .55rem; border-radius: 999px;
  margin: 0 .3rem .3rem 0 }
.present { background: var(--present) } .absent { background: var(--absent) }
.uncertain { background: var(--uncertain) } .nothing { background: var(--nothing) }
mark::after { font-size: .7em; vertical-align: super; padding-left: .15em; color: var(--soft) }
mark.present::after { content: "+" } mark.absent::after { content: "−" } mark.uncertain::after { content: "?" }
u { text-decoration: underline 2px; text-underline-offset: 4px }
.legend { position: sticky; top: 0; background: var(--page); padding: .5rem 0 .25rem; font-size: .9rem;
  border-bottom: 1px solid var(--line) }
.notice { border-left: 4px solid var(--warn); padding-left: .7rem; margin: .6rem 0 }
details { margin-top: .6rem; border-top: 1px solid var(--line); padding-top: .45rem }
summary { cursor: pointer; color: var(--soft); font-size: .88rem }
ul { list-style: none; padding: 0; margin: .4rem 0 0; font-size: .88rem }
li { padding: .35rem 0; border-bottom: 1px solid var(--line) } li:last-child { border: 0 }
code { font-size: .85em; background: var(--nothing); border-radius: 4px; padding: 0 .3em }
"""

_HEAD = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Labels explained</title><style>{_STYLE}</style></head><body>
<h1>Labels explained</h1>
<p class="notice">This page holds report text.</p>
<div class="legend"><mark class="present">present</mark> <mark class="absent">absent</mark>
<mark class="uncertain">uncertain</mark> <mark class="nothing">named, nothing stated</mark>
<u>underlined</u>: the words that decided</div>
"""

Texts = Sequence[tuple[str, str, list[dict[str, Any]]]]
"""Of one report: name of the column, text, mentions as `explain` gives them."""


def page(reports: Sequence[tuple[str, dict[str, str], Texts]]) -> str:
    """The page of these reports, the first :data:`PAGE_LIMIT` of them.

    Args:
        reports: id, decisions (observation -> present, absent or uncertain) and texts of each.
    """
    parts = [_HEAD]
    if len(reports) > PAGE_LIMIT:
        parts.append(
            f'<p class="soft">The first {PAGE_LIMIT} of {len(reports)} reports; the JSON file beside this page holds'
            " all.</p>\n"
        )
    parts += [_article(*report) for report in reports[:PAGE_LIMIT]]
    return "".join([*parts, "</body></html>\n"])


def _article(identity: str, decisions: dict[str, str], texts: Texts) -> str:
    chips = "".join(
        f'<span class="chip {"absent" if name == NO_FINDING else _CLASSES[decision]}">{escape(name)}: {decision}</span>'
        for name, decision in decisions.items()
    )
    bodies = "".join(
        (f"<h3>{escape(name)}</h3>" if len(texts) > 1 else "")
        + (f'<p class="text">{"".join(_marked(text, entries))}</p>' if text.strip() else '<p class="empty">no text</p>')
        for name, text, entries in texts
    )
    entries = [entry for _, _, of_text in texts for entry in of_text]
    reasons = "".join(map(_reason, entries))
    details = f"<details><summary>Why: {len(entries)} mentions</summary><ul>{reasons}</ul></details>" if entries else ""
    return f"<article><h2>{escape(identity)}</h2><div>{chips}</div>{bodies}{details}</article>\n"


def _reason(entry: dict[str, Any]) -> str:
    cue = f" because of “{escape(entry['cue_phrase'])}” <code>{escape(entry['cue'])}</code>" if entry["cue"] else ""
    return (
        f'<li><span class="chip {_CLASSES[entry["decision"]]}">{entry["decision"]}</span>'
        f"<b>{escape(entry['observation'])}</b> ({escape(entry['concept'])}): “{escape(entry['phrase'])}” "
        f"<code>{escape(entry['rule'])}</code>{cue}</li>"
    )


def _marked(text: str, entries: list[dict[str, Any]]) -> Iterator[str]:
    """The text as HTML: mentions as <mark>, cues as <u>, cut wherever one begins or ends."""
    places = [place for entry in entries for place in _places(entry)]
    cuts = sorted({0, len(text), *(edge for start, end, _ in places for edge in (start, end))})
    number = {cut: i for i, cut in enumerate(cuts)}
    opened: dict[int, list[dict[str, Any]]] = {}
    cued: set[int] = set()
    for start, end, entry in places:
        for cut in cuts[number[start] : number[end]]:
            if entry is None:
                cued.add(cut)
            else:
                opened.setdefault(cut, []).append(entry)
    for start, end in pairwise(cuts):
        piece = escape(text[start:end])
        if start in cued:
            piece = f"<u>{piece}</u>"
        yield _mark(piece, opened[start]) if start in opened else piece


def _places(entry: dict[str, Any]) -> Iterator[tuple[int, int, dict[str, Any] | None]]:
    """Start and end of a mention, with it; and of its cue, with None."""
    yield entry["start"], entry["end"], entry
    if entry["cue"]:
        yield entry["cue_start"], entry["cue_end"], None


def _mark(piece: str, entries: list[dict[str, Any]]) -> str:
    title = "; ".join(
        f"{e['observation']}: {e['decision']} (rule {e['rule']}{', cue ' + e['cue'] if e['cue'] else ''})"
        for e in entries
    )
    return f'<mark class="{_CLASSES[entries[0]["decision"]]}" title="{escape(title, quote=True)}">{piece}</mark>'
