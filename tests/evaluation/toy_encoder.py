"""An encoder whose embeddings are known: a table for texts, and the grey level for images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


class ToyEncoder:
    """An image of grey level g is the unit vector of axis g; a text is what the table says, made length 1.

    Attributes:
        asked: every text that was embedded.
    """

    digest = "0" * 16
    logit_scale = 10.0
    size = 1

    def __init__(self, table: Mapping[str, Sequence[float]]) -> None:
        self.table = table
        self.width = len(next(iter(table.values())))
        self.asked: list[str] = []

    def images(self, pixels: np.ndarray) -> np.ndarray:
        return np.eye(self.width, dtype=np.float32)[pixels[:, 0, 0]]

    def texts(self, sentences: Sequence[str]) -> np.ndarray:
        self.asked += sentences
        vectors = np.array([self.table[text] for text in sentences], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
