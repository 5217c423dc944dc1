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
from mmclip.filtering.tokens import words
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


def test_english_words_that_it_leaves_are_seen_and_what_it_translates_passes() -> None:
    """ "Left" is what it marks by a star and no right translation into Spanish holds ("pleural" is Spanish, too)."""
    spanish = {word for one in sentences(SPANISH) for word in words(one.translation.casefold())}
    table = there().with_columns(
        left=pl.col("marked").map_elements(
            lambda text: len(set(re.findall(r"\*(\w+)", text.casefold())) - spanish), return_dtype=pl.Int64
        )
    )
    none, some = table.filter(left=0), table.filter(pl.col("left") > 0)
    assert none.height > 50 and none["kept"].mean() >= 0.98
    assert some.height > 50 and some["reasons"].list.contains("untranslated").mean() >= 0.6
    assert table.filter(pl.col("left") > 1)["reasons"].list.contains("untranslated").mean() >= 0.8


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
