"""Two engines on the same sentences: where they agree, what each loses, how long each takes; without references."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mmclip.translation.engine import Translated

_NUMBER = re.compile(r"\d+")


def compare_engines(
    names: Sequence[str],
    sentences: Sequence[str],
    results: Sequence[Sequence[Translated]],
    seconds: Sequence[float],
    target: str,
) -> dict[str, Any]:
    """Compare two engines' translations of distinct sentences.

    Returns:
        ``chrf``: chrF2 (0 to 100, sacrebleu) of the first against the second; ``same``: share of identical
        translations; and for each engine: seconds, sentences a second, flags, and ``numbers_kept``: the share, among
        the sentences with digits, whose translation has the same ones. Whether sides and negations are kept is what
        ``mmclip filter`` says of either output.
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
            name: _describe(sentences, result, duration)
            for name, result, duration in zip(names, results, seconds, strict=True)
        },
    }


def _describe(sentences: Sequence[str], result: Sequence[Translated], seconds: float) -> dict[str, Any]:
    pairs = [
        (numbers(sentence), numbers(translated.text)) for sentence, translated in zip(sentences, result, strict=True)
    ]
    with_numbers = [source == translation for source, translation in pairs if source]
    return {
        "seconds": round(seconds, 2),
        "sentences_per_second": round(len(sentences) / max(seconds, 1e-9), 1),
        "flags": dict(sorted(Counter(flag for translated in result for flag in translated.flags).items())),
        "numbers_kept": round(sum(with_numbers) / len(with_numbers), 4) if with_numbers else None,
    }


def numbers(text: str) -> Counter[str]:
    """The runs of digits of a text, of any script as ASCII digits, each as often as it occurs."""
    runs = _NUMBER.findall(text)
    return Counter("".join(str(unicodedata.decimal(digit)) for digit in run) for run in runs)
