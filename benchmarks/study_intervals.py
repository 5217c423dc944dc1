"""Intervals of a study's figures: seeds are drawn first, then patients; differences to the reference are paired.

A draw takes as many seeds as a variant has, with repeats, and as many patients as there are, with all their samples.
Two variants see the same draws, of the seeds that both have and of the same patients, so that what a patient or a seed
does to both cancels in their difference. Languages are fixed, the worst one is found anew in each draw. In retrieval of
images by a prompt the drawn patients' images are the gallery. Of sentences, where no patient is, sentences are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from study_measures import SENTENCES, SENTENCES_BEFORE, TARGET_ERROR
from study_runs import Run, Study, Variant

from mmclip.languages import ENGLISH
from mmclip.metrics.bootstrap import LEVEL

Row = dict[str, Any]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

RESAMPLES = 1000
NEAREST = 5
"""K of precision_at_5."""

DEPTH = 60
"""Of a prompt's nearest images so many are looked through for the first five that were drawn; a draw leaves out about a
third of all images."""


def intervals(study: Study) -> list[Row]:
    """Of each variant all of whose runs are finished here, each figure over its seeds, and its difference to that of
    the reference where that is another variant."""
    found = {one.name: read for one in study.variants if (read := _evidence(study, one))}
    rows = []
    for variant in study.variants:
        own, other = found.get(variant.name), found.get(variant.reference)
        if own is None:
            continue
        against = other if variant.reference != variant.name else None
        for name, (score, of_languages) in FIGURES.items():
            values = _draws(own, score, of_languages, sorted(own))
            if values is None:
                continue
            rows.append({"variant": variant.name, "column": name, "seeds": len(own), **_interval("", values)})
            shared = sorted(set(own) & set(against)) if against is not None else []
            if shared and against is not None:
                pair = [_draws(side, score, of_languages, shared) for side in (own, against)]
                if pair[0] is not None and pair[1] is not None:
                    difference = _interval("difference", pair[0] - pair[1])
                    rows[-1] |= {"against": variant.reference, "shared_seeds": len(shared), **difference}
    return rows


def _mean(by_language: Floats, _: list[str]) -> Floats:
    return by_language.mean(axis=1)


def _worst(by_language: Floats, _: list[str]) -> Floats:
    return by_language.min(axis=1)


def _english(by_language: Floats, languages: list[str]) -> Floats:
    return by_language[:, languages.index(ENGLISH)]


def _gap(by_language: Floats, languages: list[str]) -> Floats:
    others = [number for number, code in enumerate(languages) if code != ENGLISH]
    return _english(by_language, languages) - by_language[:, others].mean(axis=1)


def _gap_to_worst(by_language: Floats, languages: list[str]) -> Floats:
    return _english(by_language, languages) - by_language.min(axis=1)


FIGURES: dict[str, tuple[str, Callable[[Floats, list[str]], Floats]]] = {
    "zero_shot_english": ("zero_shot", _english),
    "zero_shot_mean": ("zero_shot", _mean),
    "zero_shot_worst": ("zero_shot", _worst),
    "zero_shot_gap": ("zero_shot", _gap),
    "zero_shot_gap_to_worst": ("zero_shot", _gap_to_worst),
    "precision_at_5": ("similarity", _mean),
    "recall_at_10": ("recall_at_10", _mean),
    SENTENCES: (SENTENCES, _mean),
    SENTENCES_BEFORE: (SENTENCES_BEFORE, _mean),
    TARGET_ERROR: (TARGET_ERROR, _mean),
}
"""Column -> the score it is made of, and how from the score in each language, [draws, languages] -> [draws]. A gap is
English minus the mean of the others, or minus the worst language."""


def _evidence(study: Study, variant: Variant) -> dict[int, pl.DataFrame]:
    """Seed -> evidence, of a variant all of whose runs have some."""
    files = {seed: Run(study, variant, seed).evidence_file for seed in variant.seeds}
    if not files or not all(file.exists() for file in files.values()):
        return {}
    return {seed: pl.read_parquet(file) for seed, file in files.items()}


def _draws(
    tables: dict[int, pl.DataFrame],
    score: str,
    of_languages: Callable[[Floats, list[str]], Floats],
    seeds: list[int],
) -> Floats | None:
    """A figure over all seeds and units first, then of each draw, [1 + draws]; None without such a score."""
    own = [tables[seed].filter(pl.col("score") == score).sort("language", "query", "unit") for seed in seeds]
    if any(part.is_empty() for part in own):
        return None
    languages = own[0]["language"].unique().sort().to_list()
    query, language = (pl.col(name).eq_missing(own[0][name][0]) for name in ("query", "language"))
    first = own[0].filter(query & language)
    patients = first["patient_id"].to_list()
    values = np.stack([part["value"].to_numpy().reshape(len(languages), -1, len(patients)) for part in own])
    seed_counts, unit_counts = draws(len(seeds), patients)
    if score == "similarity":
        relevant = own[0]["relevant"].to_numpy().reshape(len(languages), -1, len(patients))
        by_seed = precision(values, relevant, unit_counts)
    else:
        by_seed = np.einsum("slqn,bn->bsl", values, unit_counts) / unit_counts.sum(axis=1)[:, None, None]
    by_language = np.einsum("bsl,bs->bl", by_seed, seed_counts) / len(seeds)
    return of_languages(by_language, languages)


def draws(seeds: int, patients: list[str]) -> tuple[Floats, Floats]:
    """How often each seed, [1 + draws, seeds], and each unit, [1 + draws, units], counts: once first, then drawn."""
    names, of_unit = np.unique(np.asarray(patients), return_inverse=True)
    random = np.random.default_rng(0)
    chosen_seeds = _counts(random.integers(seeds, size=(RESAMPLES, seeds)), seeds)
    chosen = _counts(random.integers(len(names), size=(RESAMPLES, len(names))), len(names))
    return chosen_seeds, chosen[:, of_unit]


def _counts(chosen: Counts, size: int) -> Floats:
    counted = np.stack([np.bincount(one, minlength=size) for one in chosen])
    return np.concatenate([np.ones((1, size)), counted]).astype(np.float64)


def precision(similarity: Floats, relevant: NDArray[np.bool_], counts: Floats) -> Floats:
    """P@5 of prompts in galleries that hold each image as often as it was drawn.

    Args:
        similarity: [seeds, languages, prompts, images].
        relevant: [languages, prompts, images], whether an image has the prompt's class.
        counts: [draws, images].

    Returns:
        [draws, seeds, languages], mean over prompts.
    """
    order = np.argsort(-similarity, axis=3, kind="stable")[..., :DEPTH]
    hits = np.take_along_axis(np.broadcast_to(relevant, similarity.shape), order, axis=3)
    out = np.empty((len(counts), *similarity.shape[:2]))
    for number, count in enumerate(counts):
        drawn = count[order]
        upto = np.cumsum(drawn, axis=3)
        if (upto[..., -1] < NEAREST).any():
            raise ValueError(f"a draw leaves fewer than {NEAREST} of the {DEPTH} nearest images; there are too few")
        taken = np.clip(np.minimum(drawn, NEAREST - upto + drawn), 0, None)
        out[number] = ((taken * hits).sum(axis=3) / NEAREST).mean(axis=2)
    return out


def _interval(prefix: str, values: Floats) -> Row:
    """The value and the percentile interval of [1 + draws] values, as entries of a row."""
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(values[1:], [tail, 100 - tail])
    names: Iterable[str] = (prefix, f"{prefix}_low", f"{prefix}_high") if prefix else ("value", "low", "high")
    return {name: round(float(value), 4) for name, value in zip(names, (values[0], low, high), strict=True)}
