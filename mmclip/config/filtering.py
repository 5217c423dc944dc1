"""Settings of the filter and of its validation. A threshold can change without scoring anything again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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
    max_untranslated: int = Field(
        default=0, description="words of the source that stand untranslated and are none of the language"
    )
    min_similarity: float = Field(default=0.5, description="cosine of the embeddings, where `similarity` names a model")
    min_chrf: float = Field(default=0.3, description="chrF of a translation back into the source's language, if given")
    min_bleu: float = Field(default=0.0, description="the same by BLEU, which says little of short sentences: off")


class Drawing(Settings):
    """How thresholds are drawn from the corpus: see :mod:`mmclip.filtering.drawing` for the rule."""

    sample: int = Field(
        default=2000,
        ge=0,
        description="distinct sentences of each language and engine; 0: the configured thresholds hold",
    )
    least: int = Field(default=200, ge=2, description="with fewer sentences the configured thresholds hold")
    spread: float = Field(default=3.5, gt=0, description="robust standard deviations from the median")


class Similarity(Settings):
    """A sentence encoder whose embeddings of source and translation are compared."""

    model: Path = Field(description="Hugging Face folder of the encoder; it is read with mean pooling")
    prefix: str = Field(default="query: ", description="put before each sentence; E5 models want one")
    batch: int = Field(default=64, ge=1, description="sentences at once")


class Judge(Settings):
    """A language model that marks the validation sample, behind the OpenAI-compatible HTTP interface."""

    url: str = Field(
        pattern=r"^https?://[^\s'\"]+$",
        description="where /chat/completions lies: https://open.bigmodel.cn/api/paas/v4, http://localhost:8000/v1",
    )
    model: str = Field(default="glm-4-flash", description="the model's name there; 3M-CLIP used GLM-4-flash")
    key_variable: str = Field(
        default="MMCLIP_JUDGE_KEY", description="environment variable that holds the key; an unset one sends none"
    )
    send_restricted: bool = Field(
        default=False, description="send sentences of restricted data to this address: only where its licence allows it"
    )
    timeout: float = Field(default=60.0, gt=0, description="seconds for one answer")
    retries: int = Field(default=4, ge=0, description="further attempts at an item")
    pause: float = Field(
        default=2.0, ge=0, description="seconds before the second attempt, doubled before each further"
    )
    per_minute: float = Field(default=60.0, gt=0, description="requests a minute, at most")
    most_unanswered: float = Field(default=0.05, ge=0, le=1, description="share of items without a usable answer")


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
    judge: Judge | None = Field(default=None, description="none: people judge")


class Filtering(Settings):
    """The filter: from scored sentences to a corpus."""

    source: str = Field(default=ENGLISH, description="language of the reports (FLORES-200 code); it is not filtered")
    thresholds: Thresholds = Thresholds()
    draw: Drawing = Drawing()
    similarity: Similarity | None = Field(default=None, description="none: no score by embeddings")
    rejected_sentences: Literal["drop", "source"] = Field(
        default="drop", description="drop: the text goes on without them; source: they stand in the source's language"
    )
    min_kept_share: float = Field(default=0.5, ge=0, le=1, description="of a text's sentences, or the text is rejected")
    min_kept_sentences: int = Field(default=1, ge=1, description="fewer left, and the text is rejected")
