"""Small dual encoders for the tests of models."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from mmclip.config.models import ImageTower, ModelSettings, TextTower
from mmclip.config.training import Tokenizer
from mmclip.training.tokenizer import train_tokenizer

TEXTS = [
    "No pleural effusion.",
    "Heart size is normal.",
    "Kein Pleuraerguss und kein Pneumothorax.",
    "胸水はありません。",
]


def small_tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, Tokenizer(vocabulary=300))


def small_settings(text: dict[str, Any] | None = None, **image: Any) -> ModelSettings:
    size = {"kind": "scratch", "layers": 2, "width": 32, "heads": 2, "feedforward": 64, "max_tokens": 24}
    return ModelSettings(
        image=ImageTower(**({"name": "test_convnext", "size": 32} | image)),
        text=TextTower(**(size | (text or {}))),
        projection=12,
    )


def grey_images(count: int = 3, size: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size), dtype=np.uint8)
