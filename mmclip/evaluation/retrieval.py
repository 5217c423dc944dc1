"""Retrieval in every language: images of a class by a sentence, and studies by their description, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmclip.evaluation.encoder import Embeddings, Encoder
from mmclip.metrics.bootstrap import Interval, bootstrap, mean_intervals
from mmclip.metrics.retrieval import precision_at_k, precision_of_draws, ranks, recall_at_k

Row = tuple[str, str, int | None, Interval]
"""direction, metric, k, value with interval."""


def class_precision(
    images: Embeddings,
    encoder: Encoder,
    prompts: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    truth: NDArray[np.int64],
    patients: Sequence[str],
    cutoffs: Sequence[int],
    resamples: int,
) -> list[Row]:
    """P@K in one language: every prompt is a query for the images of its class, every image one for the prompts of its.

    Args:
        images: [n, D], of samples with a class.
        truth: [n] their class numbers.
        cutoffs: the K; those above the number of items are left out.
    """
    queries = [(text, label) for label, name in enumerate(classes) for text in prompts[name]]
    labels = np.array([label for _, label in queries])
    similarity = encoder.texts([text for text, _ in queries]) @ images.T
    fitting = [k for k in cutoffs if k <= len(truth)]
    of_draw = precision_of_draws(similarity, labels[:, None] == truth, fitting)
    intervals = bootstrap(of_draw, patients, resamples)
    rows: list[Row] = [
        ("text_to_image", "precision_at_k", k, interval) for k, interval in zip(fitting, intervals, strict=True)
    ]
    for k in (k for k in cutoffs if k <= len(queries)):
        per_image = precision_at_k(similarity.T, truth[:, None] == labels, k)
        (interval,) = mean_intervals(per_image[None], patients, resamples)
        rows.append(("image_to_text", "precision_at_k", k, interval))
    return rows


@dataclass(frozen=True)
class InstanceRanks:
    """Where each image's own text, and each text's own image, came among all.

    Attributes:
        kept: numbers of the images whose study has a text.
        by_direction: image_to_text and text_to_image -> [kept] ranks from 1.
    """

    kept: list[int]
    by_direction: Mapping[str, NDArray[np.int64]]


def instance_ranks(
    images: Embeddings, studies: Sequence[str], encoder: Encoder, texts: Mapping[str, str]
) -> InstanceRanks:
    """Ranks of every image's own text among the distinct texts, and of its text's images among the images.

    Identical texts are one item: an image's text is found when the text it has is found, whoever else has it too.

    Args:
        images: [n, D]; images whose study has no text are left out.
        studies: [n] their studies.
        texts: study -> text.
    """
    kept = [i for i, study in enumerate(studies) if study in texts]
    if not kept:
        return InstanceRanks([], {})
    distinct = sorted({texts[studies[i]] for i in kept})
    number = {text: j for j, text in enumerate(distinct)}
    own = np.array([number[texts[studies[i]]] for i in kept])
    similarity = images[kept] @ encoder.texts(distinct).T
    relevant = own[:, None] == np.arange(len(distinct))[None]
    return InstanceRanks(
        kept,
        {"image_to_text": ranks(similarity, relevant), "text_to_image": ranks(similarity.T, relevant.T)[own]},
    )


def instance_recall(
    images: Embeddings,
    studies: Sequence[str],
    patients: Sequence[str],
    encoder: Encoder,
    texts: Mapping[str, str],
    cutoffs: Sequence[int],
    resamples: int,
) -> list[Row]:
    """Recall@K and mean rank of a study's own text among all, and of its image among all; see :func:`instance_ranks`.

    Args:
        images: [n, D], of `studies` and `patients`.
        texts: study -> text.
    """
    found = instance_ranks(images, studies, encoder, texts)
    people = [patients[i] for i in found.kept]
    rows: list[Row] = []
    for direction, rank in found.by_direction.items():
        scores = np.stack([*(recall_at_k(rank, k) for k in cutoffs), rank.astype(np.float64)])
        names = [*(("recall_at_k", k) for k in cutoffs), ("mean_rank", None)]
        intervals = mean_intervals(scores, people, resamples)
        rows += [(direction, name, k, interval) for (name, k), interval in zip(names, intervals, strict=True)]
    return rows
