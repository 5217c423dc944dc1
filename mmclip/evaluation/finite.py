"""Embeddings must be numbers: a model whose weights hold nan or infinity is refused before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mmclip.errors import UserError
from mmclip.evaluation.encoder import Embeddings, Encoder
from mmclip.tables.benchmark import Benchmark


def check_finite(vectors: Embeddings, names: Sequence[str], model: str) -> Embeddings:
    """The embeddings [n, D] themselves.

    Args:
        names: what each row is of; no text, since the message may be logged.
        model: where they come from.

    Raises:
        UserError: a row holds nan or infinity; the first one is named.
    """
    broken = ~np.isfinite(vectors).all(1)
    if broken.any():
        raise UserError(
            f"{model}: the embedding of {names[int(broken.argmax())]} is not finite ({int(broken.sum())} of "
            f"{len(vectors)} are not); the weights are damaged or training diverged, so give another model"
        )
    return vectors


class FiniteEncoder:
    """An encoder (see :class:`~mmclip.evaluation.encoder.Encoder`) that refuses texts whose embeddings are not finite.

    Whoever reads images knows their ids, and checks them there (`Run.features`).

    Args:
        encoder: a model.
        model: as the user named it.
        benchmark: whose texts will be asked; it says what a text is.

    Raises:
        UserError: the logit scale is not finite.
    """

    def __init__(self, encoder: Encoder, model: str, benchmark: Benchmark) -> None:
        self.encoder, self.model, self.benchmark = encoder, model, benchmark
        self.digest, self.logit_scale, self.size = encoder.digest, encoder.logit_scale, encoder.size
        if not np.isfinite(self.logit_scale):
            raise UserError(
                f"{model}: its logit scale is {self.logit_scale}; the weights are damaged, give another model"
            )

    def images(self, pixels: NDArray[np.uint8]) -> Embeddings:
        """[n, H, W] grey images -> [n, D] embeddings of length 1."""
        return self.encoder.images(pixels)

    def texts(self, sentences: Sequence[str]) -> Embeddings:
        """n sentences -> [n, D] embeddings of length 1.

        Raises:
            UserError: one is not finite.
        """
        vectors = self.encoder.texts(sentences)
        if np.isfinite(vectors).all():
            return vectors
        known: dict[str, str] = {}
        for text, name in _texts(self.benchmark):
            known.setdefault(text, name)
        return check_finite(vectors, [known.get(text, "a text") for text in sentences], self.model)


def _texts(benchmark: Benchmark) -> Iterator[tuple[str, str]]:
    """Every text of a benchmark, and what it is."""
    for code, by_class in benchmark.prompts.items():
        for name, sentences in by_class.items():
            yield from ((one, f"prompt {i} of {name!r} in {code}") for i, one in enumerate(sentences, 1))
    for code, texts in benchmark.texts.items():
        yield from ((text, f"the text of study {study!r} in {code}") for study, text in texts.items())
    for code, pairs in benchmark.negations.items():
        yield from ((one, f"negation pair {i} in {code}") for i, pair in enumerate(pairs, 1) for one in pair)
    for code, parallel in benchmark.parallel.items():
        yield from ((one, f"parallel sentence {i} in {code}") for i, one in enumerate(parallel, 1))
