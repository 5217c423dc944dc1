"""From scores to decisions: every reason that speaks against a sentence, and whether it is kept."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from mmclip.config.filtering import Thresholds

EMPTY = "empty"


def rules(thresholds: Thresholds) -> dict[str, pl.Expr]:
    """Reason -> the condition, on the columns of a scored table, under which a sentence is rejected for it."""
    t = thresholds
    flagged = pl.col("flags").list.set_intersection(["length_limit", "no_end"]).list.len() > 0
    unfinished = (pl.col("score_end") < 1) & (pl.col("score_length_ratio") < t.min_unfinished_length)
    return {
        "low_diversity": (pl.col("score_ttr") < t.min_ttr) | (pl.col("score_ttr_ratio") < t.min_ttr_ratio),
        "repetition": (pl.col("score_repetition") > t.max_repetition)
        | (pl.col("score_character_loop") > t.max_character_loop),
        "repeated_translation": (pl.col("score_distinct_ngrams") < t.min_distinct_ngrams)
        | (pl.col("score_shared_output") > t.max_shared_output),
        "numbers": pl.col("score_numbers") < t.min_numbers,
        "units": pl.col("score_units") < t.min_units,
        "laterality": pl.col("score_laterality") < t.min_laterality,
        "negation": pl.col("score_negation") < t.min_negation,
        "length": ~pl.col("score_length_ratio").is_between(t.min_length_ratio, t.max_length_ratio),
        "truncated": flagged | unfinished,
        "language": pl.col("score_language") < t.min_language,
        "script": pl.col("score_script") < t.min_script,
        "mojibake": pl.col("score_mojibake") > t.max_mojibake,
        "copy": pl.col("score_copy") > t.max_copy,
        "untranslated": pl.col("score_untranslated") > t.max_untranslated,
        "similarity": pl.col("score_similarity") < t.min_similarity,
        "round_trip": (pl.col("score_chrf") < t.min_chrf) | (pl.col("score_bleu") < t.min_bleu),
    }


def decide(scored: pl.DataFrame, thresholds: Thresholds) -> pl.DataFrame:
    """`scored` with ``reasons`` (all that apply, in the order of :func:`rules`) and ``kept`` (there are none).

    An empty translation has the one reason ``empty``: nothing else can be said of it.
    """
    reasons = [
        pl.when(condition).then(pl.lit(reason))
        for reason, condition in rules(thresholds).items()
        if set(condition.meta.root_names()) <= set(scored.columns)  # some scores are made only where asked for
    ]
    return with_decision(
        scored,
        pl.when(pl.col("score_content") == 0)
        .then(pl.concat_list(pl.lit(EMPTY)))
        .otherwise(pl.concat_list(reasons).list.drop_nulls()),
    )


def decide_by_engine(scored: pl.DataFrame, of_engine: Mapping[str, Thresholds], otherwise: Thresholds) -> pl.DataFrame:
    """:func:`decide` with the thresholds of each sentence's engine; `otherwise` where it has none of its own."""
    numbered = scored.with_row_index("row")
    parts = [
        decide(rows, of_engine.get(str(engine), otherwise))
        for (engine,), rows in numbered.group_by("engine", maintain_order=True)
    ]
    return pl.concat(parts).sort("row").drop("row") if parts else decide(scored, otherwise)


def keep_all(sentences: pl.DataFrame) -> pl.DataFrame:
    """Every sentence kept but the empty ones, of which nothing could be kept."""
    return with_decision(sentences, pl.when(_is_empty()).then(pl.lit([EMPTY])).otherwise(_none()))


def drop_faults(sentences: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """What a perfect filter would do: exactly the sentences with a known fault are dropped (and the empty ones).

    Args:
        faults: study_id, index and kind of each; the reason is ``fault_<kind>``.
    """
    known = faults.select("study_id", "index", kind=pl.format("fault_{}", "kind"))
    joined = sentences.join(known, on=["study_id", "index"], how="left", maintain_order="left")
    reasons = pl.concat_list(pl.col("kind"), pl.when(_is_empty()).then(pl.lit(EMPTY))).list.drop_nulls()
    return with_decision(joined, reasons).drop("kind")


def with_decision(frame: pl.DataFrame, reasons: pl.Expr) -> pl.DataFrame:
    """`frame` with the columns ``reasons`` and ``kept``."""
    return frame.with_columns(reasons=reasons.cast(pl.List(pl.String))).with_columns(
        kept=pl.col("reasons").list.len() == 0
    )


def _is_empty() -> pl.Expr:
    return ~pl.col("translation").str.contains(r"[\p{L}\p{N}]")


def _none() -> pl.Expr:
    return pl.lit([], dtype=pl.List(pl.String))
