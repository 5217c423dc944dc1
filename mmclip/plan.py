"""``mmclip plan``: hours, storage and GPU-hours that a data set of a given size will take. All of it is predicted.

Rates were measured on two cores of a Xeon (Sapphire Rapids) unless the line says otherwise; a line's `basis` names what
its prediction rests on. They tell days from hours, not hours from minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

SENTENCES_PER_REPORT = 6.0
DISTINCT_SHARE = 0.36
"""Share of sentences that are distinct, on 3,059 Indiana reports; it falls with size, so that this errs upward."""

TOKENS_PER_SENTENCE = 13.0
"""Target tokens a sentence: about 75 a report of six sentences."""

CPU_TOKENS_PER_SECOND = 60.0
"""NLLB-600M, CTranslate2 int8, beam 4, vocabulary pruned, a core (121 tokens a second on two)."""

A100_SENTENCES_PER_SECOND = 360.0
"""NLLB-600M, fp16: 72 a second stated for a T4, times 5 for the A100's memory bandwidth. Inferred, not measured."""

JPEGS_PER_SECOND = 71.0
"""Full-size JPEGs decoded at a quarter, resized and letterboxed, a second a core."""

LABEL_REPORTS_PER_SECOND = 3000.0
FILTER_TEXTS_PER_SECOND = 300.0

A100_PAIRS_PER_SECOND = 400.0
"""Training pairs a second on one A100, Swin-T and XLM-R base at 224 px. An inference from public single-tower rates."""


@dataclass(frozen=True)
class Line:
    """One stage's cost: hours on `cores` cores (or GPUs), gigabytes written, and what the figure rests on."""

    stage: str
    cpu_hours: float
    gpu_hours: float
    gigabytes: float
    basis: str


def plan(reports: int, images: int, languages: int, pixels: int, epochs: int, cores: int, gpus: int) -> list[Line]:
    """Predicted cost of every expensive stage for a data set.

    Args:
        reports, images: how many of each.
        languages: target languages.
        pixels: side of the packed images.
        epochs: of image-text pretraining.
        cores, gpus: working at once; hours are wall-clock hours with all of them busy.
    """
    sentences = reports * SENTENCES_PER_REPORT * DISTINCT_SHARE * languages
    texts = reports * languages
    translate_cpu = sentences * TOKENS_PER_SENTENCE / CPU_TOKENS_PER_SECOND / 3600 / cores
    translate_gpu = sentences / A100_SENTENCES_PER_SECOND / 3600 / max(gpus, 1)
    return [
        Line("pack", images / JPEGS_PER_SECOND / 3600 / cores, 0, images * pixels**2 / 1e9, "measured rate"),
        Line("translate (CPU)", translate_cpu, 0, texts * 600 / 1e9, "measured rate, distinct sentences once"),
        Line(
            "translate (A100)", 0, translate_gpu, texts * 600 / 1e9, "stated T4 rate times 5: instead of the CPU line"
        ),
        Line("filter", texts / FILTER_TEXTS_PER_SECOND / 3600 / cores, 0, texts * 900 / 1e9, "design target"),
        Line("label", reports / LABEL_REPORTS_PER_SECOND / 3600, 0, reports * 200 / 1e9, "design target, one core"),
        Line(
            "pretrain",
            0,
            epochs * images / A100_PAIRS_PER_SECOND / 3600 / max(gpus, 1),
            5,
            "inferred from public rates",
        ),
    ]
