"""``mmclip plan``: hours, storage and GPU-hours that a data set of a given size will take. All of it is predicted.

A line's `basis` says what its prediction rests on: a rate that was measured, or an inference. Rates a core are reports,
sentences or images a second of processor time. "Indiana" is 3,160 reports of Indiana University (findings and
impression; 18,413 sentences, 7,214 distinct) on one core of an AMD EPYC that had other work too, so that they err
downward. They tell days from hours, not hours from minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

SENTENCES_PER_REPORT = 6.0
"""Measured on Indiana: 5.8."""

DISTINCT_SHARE = 0.39
"""Share of sentences that are distinct, measured on Indiana; it falls with size, so that this errs upward."""

TOKENS_PER_SENTENCE = 13.0
"""Target tokens a sentence: about 75 a report of six sentences."""

CPU_TOKENS_PER_SECOND = 60.0
"""NLLB-600M, CTranslate2 int8, beam 4, vocabulary pruned, a core: 121 tokens a second on two of a Xeon (Sapphire
Rapids)."""

A100_SENTENCES_PER_SECOND = 360.0
"""NLLB-600M, fp16: 72 a second stated for a T4, times 5 for the A100's memory bandwidth. Inferred, not measured."""

JPEGS_PER_SECOND = 90.0
"""Full-size JPEGs (2544 x 3056, 0.75 MB) decoded, resized and letterboxed to 256, a second a core. Measured by
``mmclip pack`` on four real radiographs that were enlarged to that size with noise."""

LABEL_REPORTS_PER_SECOND = 4200.0
"""A core, measured by the label stage on Indiana."""

FILTER_SENTENCES_PER_SECOND = 1700.0
"""Distinct pairs of source and translation, a core. Measured: 1,200 to 3,000 by language on Indiana, with each sentence
standing for its translation; 1,800 over the demo's 20 languages."""

TRANSLATED_BYTES = 95.0
STORED_BYTES = 115.0
FILTERED_BYTES = 240.0
LABEL_BYTES = 50.0
"""Written for each text, each distinct sentence (in the store), each text and each report: measured on Indiana, with
each sentence standing for its translation. Scripts of two or three bytes a letter take more."""

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
    translated = (texts * TRANSLATED_BYTES + sentences * STORED_BYTES) / 1e9
    filter_cpu = sentences / FILTER_SENTENCES_PER_SECOND / 3600 / cores
    pretrain = epochs * images / A100_PAIRS_PER_SECOND / 3600 / max(gpus, 1)
    return [
        Line("pack", images / JPEGS_PER_SECOND / 3600 / cores, 0, images * pixels**2 / 1e9, "measured rate"),
        Line("translate (CPU)", translate_cpu, 0, translated, "measured rate, distinct sentences once"),
        Line("translate (A100)", 0, translate_gpu, translated, "stated T4 rate times 5: instead of the CPU line"),
        Line("filter", filter_cpu, 0, texts * FILTERED_BYTES / 1e9, "measured rate, distinct sentences once"),
        Line(
            "label",
            reports / LABEL_REPORTS_PER_SECOND / 3600,
            0,
            reports * LABEL_BYTES / 1e9,
            "measured rate, one core",
        ),
        Line("pretrain", 0, pretrain, 5, "inferred from public rates"),
    ]
