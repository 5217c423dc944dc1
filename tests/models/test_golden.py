"""A folder that was saved once loads for ever, with the same embeddings."""

from __future__ import annotations

import json
from typing import Any

import pytest
import timm
import torch
from transformers import AutoModel, AutoTokenizer

from mmclip.models.card import read_card
from mmclip.models.dual_encoder import DualEncoder
from mmclip.models.image_encoder import standardise
from mmclip.models.text_encoder import masked_mean
from mmclip.models.tokenizer import framed, plain_ids
from tests.models.golden import EXPECTED, FOLDER, SIZES, embeddings, images
from tests.models.towers import TEXTS


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    return DualEncoder.from_pretrained(FOLDER)


def test_the_embeddings_are_those_that_were_stored(model: DualEncoder) -> None:
    expected = json.loads(EXPECTED.read_text())
    for name, vectors in embeddings(model).items():
        torch.testing.assert_close(torch.tensor(vectors), torch.tensor(expected[name]), rtol=0, atol=1e-5)


def test_the_stored_embeddings_tell_inputs_apart() -> None:
    for name, vectors in json.loads(EXPECTED.read_text()).items():
        cosines = torch.tensor(vectors) @ torch.tensor(vectors).T
        assert (cosines - torch.eye(len(vectors))).max() < 0.9999, name


def test_the_towers_load_alone(model: DualEncoder) -> None:
    """The image tower in timm, the text tower and its tokenizer in transformers."""
    pixels = standardise(torch.as_tensor(images(SIZES[0])), model.settings.image)
    image: Any = timm.create_model(f"local-dir:{FOLDER / 'image'}", pretrained=True).eval()
    text: Any = AutoModel.from_pretrained(FOLDER / "text", add_pooling_layer=False).eval()
    ids, mask = framed(model.tokenizer, plain_ids(model.tokenizer, TEXTS), 24)
    with torch.inference_mode():
        torch.testing.assert_close(image(pixels), model.image(pixels)[0])
        states = text(input_ids=ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(masked_mean(states, mask), model.text(ids, mask)[0])
    tokenizer: Any = AutoTokenizer.from_pretrained(FOLDER / "text")
    assert tokenizer(TEXTS, add_special_tokens=False).input_ids == plain_ids(model.tokenizer, TEXTS)


def test_it_is_complete_and_small() -> None:
    names = {str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*") if file.is_file()}
    assert {
        "config.json", "model.safetensors", "tokenizer.json", "card.json", "README.md", "prompts.json",
        "label_policy.json", "text/config.json", "text/model.safetensors", "image/config.json",
        "image/model.safetensors",
    } <= names  # fmt: skip
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) < 300_000
    assert read_card(FOLDER).experiment == "golden"
