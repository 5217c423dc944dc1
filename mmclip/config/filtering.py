"""Settings of the filter and of its validation. A threshold can change without scoring anything again."""

from __future__ import annotations

from pydantic import Field

from mmclip.config.base import Settings
from mmclip.languages import ENGLISH


class Thresholds(Settings):
    """What a sentence may score at worst; see :mod:`mmclip.filtering.scoring` for what each score is.

    3M-CLIP names type-token ratio, continuous repetition and repeated translation, but no formula and no threshold:
    these are ours, chosen on sentences whose translation is known (``tests/filtering/test_filter_phrasebook.py``).
    """

    min_ttr: float = Field(default=0.3, description="moving-average type-token ratio of the translation")
    min_ttr_ratio: float = Field(default=0.6, description="that ratio relative to the source's")
    max_repetition: int = Field(default=2, description="times an n-gram stands back to back")
    max_character_loop: int = Field(default=3, description="times one to four letters stand back to back in a word")
    min_distinct_ngrams: float = Field(default=0.7, description="share of distinct n-grams relative to the source's")
    max_shared_output: int = Field(default=5, description="different sources of the shard with this very translation")
    min_numbers: float = Field(default=1.0, description="share of numbers that agree")
    min_units: float = Field(default=1.0, description="share of units of measurement that agree")
    min_laterality: float = Field(
        default=0.5, description="1 same sides, 0.5 only `bilateral` lost or added, 0 another side"
    )
    min_negation: float = Field(default=0.5, description="1 agrees, 0.5 by an implied negation, 0 lost or added")
    min_length_ratio: float = Field(default=0.35, description="length relative to what the language usually takes")
    max_length_ratio: float = Field(default=2.5, description="length relative to what the language usually takes")
    min_unfinished_length: float = Field(default=1.0, description="the same, where the final punctuation is missing")
    min_language: float = Field(default=-0.75, description="log10 odds of the language against the best other one")
    min_script: float = Field(default=0.5, description="share of letters in the language's script")
    max_mojibake: int = Field(default=0, description="runs of text decoded with the wrong encoding")
    max_copy: float = Field(default=0.75, description="share of the source's words that stand untranslated")


class Validation(Settings):
    """The random sample of kept and of rejected sentences that people judge."""

    share: float = Field(default=0.01, gt=0, le=1, description="share of kept, and of rejected, in each language")
    minimum: int = Field(
        default=1, ge=0, description="at least so many of each in each language, where there are as many"
    )
    maximum: int | None = Field(
        default=None, ge=1, description="at most so many of each in each language; none: no limit"
    )
    bad_below: float = Field(default=3.0, ge=1, le=5, description="a mean mark below this is a bad translation")


class Filtering(Settings):
    """The filter: from scored sentences to a corpus."""

    source: str = Field(default=ENGLISH, description="language of the reports (FLORES-200 code); it is not filtered")
    thresholds: Thresholds = Thresholds()
    min_kept_share: float = Field(default=0.5, ge=0, le=1, description="of a text's sentences, or the text is rejected")
    min_kept_sentences: int = Field(default=1, ge=1, description="fewer left, and the text is rejected")
