"""The golden folder: a small model that was saved once, and the embeddings that it gave.

    python -m tests.models.golden

writes both again. That is for a new version of the format only, beside the old folder and never over it: that old
folders load, with the same embeddings, is what the golden folder is for.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from mmclip.models.card import DataSet, ModelCard
from mmclip.models.dual_encoder import DualEncoder
from tests.models.towers import TEXTS, small_settings, small_tokenizer

FOLDER = Path(__file__).parent / "golden"
EXPECTED = FOLDER / "expected.json"
SIZES = (32, 45)
"""Edges of the images: the model's own, and one that is resized."""


def images(size: int) -> np.ndarray:
    """Two images by a formula, which no library's random numbers can change."""
    grid = np.arange(2 * size * size, dtype=np.int64).reshape(2, size, size)
    return ((grid * grid // 7 + 13 * grid) % 256).astype(np.uint8)


def embeddings(model: DualEncoder) -> dict[str, list[list[float]]]:
    """What is compared, by name."""
    found = {f"images {size}": model.encode_image(images(size)) for size in SIZES} | {"texts": model.encode_text(TEXTS)}
    return {name: vectors.tolist() for name, vectors in found.items()}


def write() -> None:
    """Make a model, save it, and store its embeddings."""
    torch.manual_seed(0)
    text = {"width": 16, "layers": 2, "feedforward": 32}
    options = {"dims": (8, 8, 16, 16), "depths": (1, 1, 1, 1)}
    model = DualEncoder.create(small_settings(text, options=options), small_tokenizer()).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # away from the zeros and ones of initialisation
            parameter.add_(0.05 * torch.randn_like(parameter))
    card = ModelCard(
        experiment="golden",
        training={"steps": 0},
        data=(DataSet(name="none", licence="Apache-2.0", note="random weights"),),
        texts={"eng_Latn": 2, "deu_Latn": 1, "jpn_Jpan": 1},
        prompts={"eng_Latn": {"Pleural Effusion": (TEXTS[0],)}},
        label_policy={"Pleural Effusion": "U-Ones"},
    )
    model.save_pretrained(FOLDER, card)
    EXPECTED.write_text(json.dumps(embeddings(model.eval())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
