"""How much there is after each step: from the studies of the sources to the texts that training reads."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from mmclip.report.disclosure import Count, Disclosure
from mmclip.report.run import Run


@dataclass(frozen=True)
class Step:
    """One bar: what was counted after a step."""

    label: str
    count: Count
    note: str = ""


@dataclass(frozen=True)
class LanguageCounts:
    """Sentences and texts of one language after the filter."""

    language: str
    kept: Count
    dropped: Count
    texts: Count
    rejected: Count


@dataclass(frozen=True)
class Counts:
    """The figures of the section; `largest` scales the bars of the languages."""

    steps: tuple[Step, ...]
    languages: tuple[LanguageCounts, ...]
    largest: int
    splits: dict[str, dict[str, Count]]
    skipped: dict[str, Count]


def counts(run: Run, disclosure: Disclosure) -> Counts | None:
    """Counts of the ingested data sets, and of the filtered corpus where there is one; None without any data set."""
    cards = [card for card in disclosure.cards.values() if card is not None]
    if not cards:
        return None
    show = disclosure.count
    codes = run.languages()
    by_language = [_language(run, code) for code in codes]
    total = {key: sum(int(card.counts.get(key, 0)) for card in cards) for key in ("studies", "patients", "images")}
    kept, dropped, texts, rejected = (sum(row[i] for row in by_language) for i in range(4))
    steps = [
        Step("studies", show(total["studies"]), f"{show(total['patients']).text} patients"),
        Step("images", show(total["images"])),
    ]
    if by_language:
        languages = f"in {len(by_language)} languages"
        sentences, removed = disclosure.parts([kept, dropped])
        accepted, refused = disclosure.parts([texts, rejected])
        steps += [
            Step("sentences", show(kept + dropped), languages),
            Step("sentences kept", sentences, f"{removed.text} dropped by the filter"),
            Step("texts", show(texts + rejected), "a report in one language"),
            Step("texts to train on", accepted, f"{refused.text} rejected"),
        ]
    return Counts(
        steps=tuple(steps),
        languages=tuple(
            LanguageCounts(code, *disclosure.parts(row[:2]), *disclosure.parts(row[2:]))
            for code, row in zip(codes, by_language, strict=True)
        ),
        largest=max((row[0] + row[1] for row in by_language), default=1),
        splits=_splits(cards_counts=[card.counts for card in cards], disclosure=disclosure),
        skipped=_skipped([card.counts for card in cards], disclosure),
    )


def _language(run: Run, code: str) -> tuple[int, int, int, int]:
    """Kept and dropped sentences, accepted and rejected texts."""
    decided = pl.scan_parquet(run.filtered("sentences", code)).select("kept")
    kept, total = decided.select(pl.col("kept").sum().alias("kept"), pl.len().alias("total")).collect().row(0)
    texts, rejected = (
        pl.scan_parquet(run.filtered(table, code)).select(pl.len()).collect().item() for table in ("corpus", "rejected")
    )
    return int(kept), int(total - kept), int(texts), int(rejected)


def _splits(cards_counts: list[dict[str, object]], disclosure: Disclosure) -> dict[str, dict[str, Count]]:
    """quantity -> split -> count, over all data sets; hidden together with the split that would tell it."""
    out: dict[str, dict[str, Count]] = {}
    for key in ("patients", "studies", "images"):
        sums: dict[str, int] = {}
        for one in cards_counts:
            splits = one.get("splits")
            for split, values in splits.items() if isinstance(splits, dict) else ():
                sums[split] = sums.get(split, 0) + int(values.get(key, 0))
        if sums:
            out[key] = dict(zip(sums, disclosure.parts(list(sums.values())), strict=True))
    return out


def _skipped(cards_counts: list[dict[str, object]], disclosure: Disclosure) -> dict[str, Count]:
    sums: dict[str, int] = {}
    for one in cards_counts:
        skipped = one.get("skipped")
        for reason, value in skipped.items() if isinstance(skipped, dict) else ():
            sums[reason] = sums.get(reason, 0) + int(value)
    return {reason: disclosure.count(value) for reason, value in sums.items()}
