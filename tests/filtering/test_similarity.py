"""The score by embeddings, with a small encoder made here; and with a real one where there is one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from benchmarks.corruptions import other_report, sentences
from mmclip.config.filtering import Filtering, Similarity
from mmclip.errors import UserError
from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.negation import kept_negation
from mmclip.filtering.similarity import optional_scores, similarity
from mmclip.filtering.stage import filter_shard
from mmclip.tables.files import read_table
from mmclip.tables.translation import SCORED
from tests.filtering.builders import SPANISH, shard

WORDS = ["[PAD]", "[UNK]", "no", "effusion", "sin", "derrame", "heart", "query", ":"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    return folder


def test_it_is_the_cosine_of_mean_pooled_states_whatever_the_batch(encoder: Path) -> None:
    sources, translations = ["no effusion", "heart", "no effusion"], ["sin derrame", "heart", "effusion no heart no"]
    pairs = Pairs(sources, translations, "eng_Latn", "spa_Latn")
    found = similarity(Similarity(model=encoder), pairs)
    model = BertModel.from_pretrained(encoder).eval()

    def embed(text: str) -> np.ndarray:
        ids = [WORDS.index(word) for word in ["query", ":", *text.split()]]
        with torch.inference_mode():
            mean = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0).double().numpy()
        return np.asarray(mean / np.linalg.norm(mean))

    expected = [float(embed(a) @ embed(b)) for a, b in zip(sources, translations, strict=True)]
    assert found == pytest.approx(expected, abs=1e-5)
    assert found[1] == pytest.approx(1, abs=1e-6)
    assert similarity(Similarity(model=encoder, batch=1), pairs) == pytest.approx(found, abs=1e-6)


def test_it_is_scored_and_decided_only_where_asked_for(encoder: Path, tmp_path: Path) -> None:
    source = shard(tmp_path / "in.parquet", SPANISH)
    outputs = {name: tmp_path / f"{name}.parquet" for name in ("scored", "corpus", "rejected")}
    filter_shard(Filtering(), source, "spa_Latn", "filtered", **outputs)
    assert "score_similarity" not in read_table(outputs["scored"], SCORED).columns
    strict = Filtering.model_validate({"similarity": {"model": encoder}, "thresholds": {"min_similarity": 1.01}})
    filter_shard(strict, source, "spa_Latn", "filtered", **outputs)
    table = read_table(outputs["scored"], SCORED).filter(pl.col("translation") != "")
    assert table["reasons"].list.contains("similarity").all()


def test_a_folder_without_an_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"similarity\.model.*no encoder"):
        similarity(Similarity(model=tmp_path), Pairs(["a"], ["b"], "eng_Latn", "spa_Latn"))


@pytest.mark.slow
@pytest.mark.needs("real_models")
def test_a_real_encoder_tells_another_reports_sentence(tmp_path: Path) -> None:
    script = Path(os.environ["MMCLIP_REAL_MODELS"]) / "multilingual_e5_small.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "e5")], check=True)
    (score,) = optional_scores(Similarity(model=tmp_path / "e5"))
    rng = random.Random(0)
    for language in ("spa_Latn", "arb_Arab", "zho_Hans"):
        book = rng.sample(sentences(language), 100)
        others = [other_report(one, rng) for one in book]
        chosen = [(one, other) for one, other in zip(book, others, strict=True) if other]
        sources = [one.source for one, _ in chosen]
        right = score.function(Pairs(sources, [one.translation for one, _ in chosen], "eng_Latn", language))
        wrong = score.function(Pairs(sources, [other for _, other in chosen], "eng_Latn", language))
        assert np.mean(right > wrong) >= 0.9
    lost = Pairs(["No pleural effusion."], ["Any pleural effusion."], "eng_Latn", "eng_Latn")
    assert score.function(lost)[0] > 0.9  # which is why negations have a score of their own
    assert kept_negation(lost)[0] == 0
