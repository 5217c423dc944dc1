"""Why the filter rejects, language by language, with sentences that show it where sentences may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmclip.languages import LANGUAGES, Language
from mmclip.report.disclosure import Disclosure, dataset_of
from mmclip.report.run import Run

MEANING = {
    "empty": "nothing is there",
    "low_diversity": "few different words",
    "repetition": "the same again and again",
    "repeated_translation": "said twice, or one output for many sources",
    "numbers": "a number lost, added or changed",
    "units": "a unit lost, added or changed",
    "laterality": "another side",
    "negation": "a negation lost or added",
    "length": "far too short or too long",
    "truncated": "cut off",
    "language": "another language",
    "script": "another script",
    "mojibake": "broken characters",
    "copy": "most of it not translated",
    "untranslated": "words of the source left standing",
    "similarity": "another meaning, by embeddings",
    "round_trip": "translated back, it says something else",
}
"""What each reason says of a translation."""

EACH = 3
"""Examples of a reason."""


@dataclass(frozen=True)
class Example:
    """A rejected sentence."""

    language: Language
    source: str
    translation: str


@dataclass(frozen=True)
class Rejections:
    """Reasons by language.

    Attributes:
        reasons: those that occur, the most frequent first.
        shares: language -> share of its sentences rejected for each of `reasons`, None where it must not be shown.
        highest: the largest share, which scales the colours.
        examples: reason -> rejected sentences in different languages, of data sets that may be shown.
    """

    reasons: tuple[str, ...]
    shares: dict[str, tuple[float | None, ...]]
    highest: float
    examples: dict[str, tuple[Example, ...]]


def rejections(run: Run, disclosure: Disclosure) -> Rejections | None:
    """The reasons of a run's filter; None where nothing was filtered, or nothing rejected."""
    files = {code: run.filtered("sentences", code) for code in run.languages()}
    counted = {code: _count(some) for code, some in files.items()}
    totals: dict[str, int] = {}
    for _, reasons in counted.values():
        for reason, number in reasons.items():
            totals[reason] = totals.get(reason, 0) + number
    if not totals:
        return None
    ranked = tuple(sorted(totals, key=lambda reason: (-totals[reason], reason)))
    shares = {
        code: tuple(disclosure.share(reasons.get(reason, 0), sentences) for reason in ranked)
        for code, (sentences, reasons) in counted.items()
        if reasons
    }
    shown = [value for row in shares.values() for value in row if value is not None]
    return Rejections(
        ranked, shares, max(shown, default=0.0), _examples({code: files[code] for code in shares}, ranked, disclosure)
    )


def _count(files: list[Path]) -> tuple[int, dict[str, int]]:
    """Sentences, and reason -> rejected sentences, of one language; one with several reasons counts for each."""
    table = pl.scan_parquet(files).select("reasons").collect()
    counts = table.explode("reasons").drop_nulls().group_by("reasons").len()
    return table.height, dict(counts.iter_rows())


def _examples(
    files: Mapping[str, list[Path]], reasons: Sequence[str], disclosure: Disclosure
) -> dict[str, tuple[Example, ...]]:
    """Up to three sentences a reason, each in another language; reasons begin at different languages."""
    codes = list(files)
    found = {code: _first_of_each(some, code, disclosure) for code, some in files.items()}
    out: dict[str, tuple[Example, ...]] = {}
    for place, reason in enumerate(reasons):
        start = place * EACH % len(codes)
        turn = [found[code][reason] for code in (*codes[start:], *codes[:start]) if reason in found[code]]
        if turn:
            out[reason] = tuple(turn[:EACH])
    return out


def _first_of_each(files: list[Path], code: str, disclosure: Disclosure) -> dict[str, Example]:
    """reason -> a sentence rejected for it, one with few other reasons; of public data sets only."""
    public = [file for file in files if disclosure.public(dataset_of(file.stem))]
    if not public:
        return {}
    rejected = (
        pl.scan_parquet(public)
        .filter(~pl.col("kept"))
        .select("study_id", "index", "source", "translation", "reasons", number=pl.col("reasons").list.len())
        .explode("reasons")
        .sort("number", "study_id", "index")
        .unique("reasons", keep="first", maintain_order=True)
        .collect()
    )
    return {
        reason: Example(LANGUAGES[code], source, translation)
        for reason, source, translation in rejected.select("reasons", "source", "translation").iter_rows()
    }
