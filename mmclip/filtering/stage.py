"""The filter's entry point: a shard of translations in, its scored sentences, corpus and rejected texts out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from mmclip.config.filtering import Filtering
from mmclip.errors import UserError
from mmclip.filtering.decisions import decide_by_engine, drop_faults, keep_all
from mmclip.filtering.scoring import score
from mmclip.filtering.similarity import optional_scores
from mmclip.filtering.texts import texts
from mmclip.filtering.thresholds import read_thresholds
from mmclip.languages import language as known_language
from mmclip.tables.files import read_table, write_table
from mmclip.tables.filtering import CORPUS, REJECTED
from mmclip.tables.phantom import FAULTS
from mmclip.tables.translation import SCORED, SENTENCES

log = logging.getLogger("mmclip.filter")

Variant = Literal["filtered", "unfiltered", "oracle"]


def filter_shard(
    settings: Filtering,
    translations: Path,
    language: str,
    variant: Variant,
    *,
    scored: Path,
    corpus: Path,
    rejected: Path,
    faults: Path | None = None,
    thresholds: Path | None = None,
) -> dict[str, int]:
    """Score and filter one language's shard.

    Args:
        translations: a SENTENCES table.
        variant: ``filtered`` by scores; ``unfiltered``: all kept; ``oracle``: exactly the known faults dropped. The
            source language has nothing to filter and only loses empty sentences.
        scored, corpus, rejected: the outputs (SCORED, CORPUS, REJECTED).
        faults: the FAULTS table of this shard; the oracle needs it.
        thresholds: those drawn for this language, by engine; none: those of the settings.

    Returns:
        Numbers of sentences, kept sentences, texts and rejected texts.
    """
    known_language(language, str(translations))
    sentences = read_table(translations, SENTENCES)
    decided = _decide(settings, sentences, language, variant, faults, thresholds)
    accepted, held_back = texts(decided, language, settings)
    write_table(decided, scored, SCORED)
    write_table(accepted, corpus, CORPUS)
    write_table(held_back, rejected, REJECTED)
    summary = {
        "sentences": decided.height,
        "kept": int(decided["kept"].sum()),
        "texts": accepted.height,
        "rejected": held_back.height,
    }
    log.info("%s %s: %s", variant, language, summary)
    return summary


def _decide(
    settings: Filtering,
    sentences: pl.DataFrame,
    language: str,
    variant: str,
    faults: Path | None,
    thresholds: Path | None,
) -> pl.DataFrame:
    if variant not in get_args(Variant):
        raise UserError(f"filter: variant {variant!r} is unknown; one of {', '.join(get_args(Variant))}")
    if language == settings.source or variant == "unfiltered":
        return keep_all(sentences)
    if variant == "filtered":
        scored = score(sentences, settings.source, language, optional_scores(settings.similarity))
        return decide_by_engine(scored, read_thresholds(thresholds) if thresholds else {}, settings.thresholds)
    if faults is None:
        raise UserError("filter: variant 'oracle' needs the table of injected faults (simulated data only)")
    known = read_table(faults, FAULTS)
    return drop_faults(sentences, known.filter(pl.col("language") == language))
