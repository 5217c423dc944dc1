"""Two engines on the same sentences: where they agree, what each loses, what each costs; without references."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmclip.translation.engine import Translated

_NUMBER = re.compile(r"\d+")


Check = Callable[[Sequence[str], Sequence[str], str, str], Sequence[bool | None]]
"""Sources, translations and their two languages -> whether something was kept in each; None where there is none."""


def same_numbers(
    sources: Sequence[str], translations: Sequence[str], source: str, target: str
) -> Sequence[bool | None]:
    """Whether source and translation have the same runs of digits."""
    pairs = [(numbers(one), numbers(other)) for one, other in zip(sources, translations, strict=True)]
    return [one == other if one or other else None for one, other in pairs]


NUMBERS: Mapping[str, Check] = {"numbers": same_numbers}
"""The check that needs no list of words; those of sides and negation come from whoever calls."""


def sample(sentences: Sequence[str], size: int) -> list[str]:
    """At most `size` of some sentences, by their own digest: more sentences do not change which of these are drawn."""
    digests = {sentence: hashlib.sha256(sentence.encode("utf-8", "surrogatepass")).digest() for sentence in sentences}
    drawn = set(sorted(digests, key=digests.__getitem__)[:size])
    return [sentence for sentence in sentences if sentence in drawn]


def compare_engines(
    names: Sequence[str],
    sentences: Sequence[str],
    results: Sequence[Sequence[Translated]],
    seconds: Sequence[float],
    source: str,
    target: str,
    checks: Mapping[str, Check] = NUMBERS,
) -> dict[str, Any]:
    """Compare two engines' translations of distinct sentences.

    Returns:
        ``chrf``: chrF2 (0 to 100, sacrebleu) of the first against the second; ``same``: share of identical
        translations; and for each engine: seconds, sentences a second, hours for a million sentences, flags, and for
        each check the share ``kept`` among the sentences that it is about, and how many those are.
    """
    from sacrebleu.metrics.chrf import CHRF

    first, second = ([translated.text for translated in result] for result in results)
    chrf = CHRF().corpus_score(first, [second]).score if sentences else 0.0
    agree = sum(one == other for one, other in zip(first, second, strict=True))
    return {
        "target": target,
        "sentences": len(sentences),
        "chrf": round(chrf, 2),
        "same": round(agree / max(len(sentences), 1), 4),
        "engines": {
            name: {
                "seconds": round(duration, 2),
                "sentences_per_second": round(len(sentences) / max(duration, 1e-9), 1),
                "hours_per_million": round(duration / max(len(sentences), 1) * 1e6 / 3600, 2),
                "flags": dict(sorted(Counter(flag for translated in result for flag in translated.flags).items())),
                "kept": {
                    label: _share(check(sentences, [translated.text for translated in result], source, target))
                    for label, check in checks.items()
                },
            }
            for name, result, duration in zip(names, results, seconds, strict=True)
        },
    }


def _share(kept: Sequence[bool | None]) -> dict[str, float | int | None]:
    about = [value for value in kept if value is not None]
    return {"share": round(sum(about) / len(about), 4) if about else None, "of": len(about)}


def format_comparison(comparison: Mapping[str, Any]) -> str:
    """A comparison as a table for people, an engine a column."""
    engines: Mapping[str, Mapping[str, Any]] = comparison["engines"]
    checks = next(iter(engines.values()))["kept"]
    rows = [("", *engines)]
    for label in checks:
        kept = [engine["kept"][label] for engine in engines.values()]
        rows.append((f"{label} kept", *("-" if one["share"] is None else f"{one['share']:.3f}" for one in kept)))
    rows += [
        ("flags", *(", ".join(f"{n} {flag}" for flag, n in one["flags"].items()) or "-" for one in engines.values())),
        ("sentences a second", *(f"{one['sentences_per_second']:.1f}" for one in engines.values())),
        ("hours a million sentences", *(f"{one['hours_per_million']:.1f}" for one in engines.values())),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    about = ", ".join(f"{label} {max(engine['kept'][label]['of'] for engine in engines.values())}" for label in checks)
    return "\n".join(
        [
            f"{comparison['sentences']} distinct sentences into {comparison['target']} ({about}): "
            f"{comparison['same']:.1%} translated the same, chrF {comparison['chrf']:.1f}",
            *lines,
        ]
    )


def numbers(text: str) -> Counter[str]:
    """The runs of digits of a text, of any script as ASCII digits, each as often as it occurs."""
    runs = _NUMBER.findall(text)
    return Counter("".join(str(unicodedata.decimal(digit)) for digit in run) for run in runs)
