"""Faults that a real engine makes: Apertium from English to Spanish, and its way back."""

from __future__ import annotations

import re
import subprocess
from functools import cache

import polars as pl
import pytest

from benchmarks.corruptions import Sentence, sentences
from mmclip.config.filtering import Thresholds
from mmclip.filtering.decisions import decide
from mmclip.filtering.scoring import score
from mmclip.languages import ENGLISH

pytestmark = pytest.mark.needs("apertium")

SPANISH = "spa_Latn"
_DENIES = re.compile(r"\b(no|not|without|none|nor|neither|absent|free|negative|\w+n't)\b", re.IGNORECASE)


def apertium(texts: list[str], pair: str) -> list[str]:
    """One output line a text; words that it does not know stand behind a star."""
    done = subprocess.run(["apertium", pair], input="\n".join(texts) + "\n", capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(texts)
    return lines


@cache
def book() -> list[Sentence]:
    """One sentence a frame, of at least three words."""
    by_frame = {one.frame.id: one for one in sentences(SPANISH)}
    return [one for one in by_frame.values() if len(one.source.split()) > 2]


def decided(sources: list[str], translations: list[str], source: str, target: str) -> pl.DataFrame:
    """The filter's decision on lines of Apertium's, without its stars."""
    frame = pl.DataFrame({"source": sources, "marked": translations}).with_columns(
        flags=pl.lit([], dtype=pl.List(pl.String)), translation=pl.col("marked").str.replace_all("*", "", literal=True)
    )
    return decide(score(frame, source, target), Thresholds())


@cache
def there() -> pl.DataFrame:
    """English to Spanish."""
    sources = [one.source for one in book()]
    return decided(sources, apertium(sources, "eng-spa"), ENGLISH, SPANISH)


def test_english_words_that_it_leaves_raise_the_score_and_where_most_are_left_the_alarm() -> None:
    left = pl.col("marked").str.count_matches(r"\*") / pl.col("source").str.count_matches(" ")
    none, mostly = there().filter(left == 0), there().filter(left >= 0.5)
    assert none.height > 50 and none["kept"].mean() >= 0.95
    assert mostly.height >= 3 and (~mostly["kept"]).mean() >= 0.5
    assert mostly["score_copy"].median() > 2 * there().filter(left.is_between(0.01, 0.25))["score_copy"].median()


def test_negations_that_it_loses_on_the_way_back_are_seen() -> None:
    """It says "Ningún derrame" for "No effusion", and comes back with "Any effusion"."""
    spanish, english = there()["translation"].to_list(), there()["source"].to_list()
    returned = apertium(spanish, "spa-eng")
    lost = pl.Series(
        [bool(_DENIES.search(a)) and not _DENIES.search(b) for a, b in zip(english, returned, strict=True)]
    )
    assert lost.sum() >= 10
    for origin, language in ((spanish, SPANISH), (english, ENGLISH)):
        table = decided(origin, returned, language, ENGLISH).filter(lost)
        assert table["reasons"].list.contains("negation").mean() >= 0.9, language
