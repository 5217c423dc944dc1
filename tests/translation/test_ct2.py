"""Any CTranslate2 model: the architectures and tokenizers of OPUS-MT (Marian) and MADLAD-400 (T5), tiny and random."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmclip.config import translation as config
from mmclip.translation.convert import MANIFEST, convert
from mmclip.translation.ct2 import CTranslate2
from tests.translation.fakes import translate_all

LIMIT = 12
"""Tokens that transformers may write; the engine's limit is above it."""


def pieces(folder: Path, sentences: list[str], name: str, **options: Any) -> Path:
    """A SentencePiece model of the sentences."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=str(folder / name), vocab_size=100, hard_vocab_limit=False,
        num_threads=1, minloglevel=2, **options,
    )  # fmt: skip
    (folder / f"{name}.model").rename(folder / name)
    return folder / f"{name}.vocab"


def opus(folder: Path, sentences: list[str]) -> Any:
    """A folder as OPUS-MT's: two SentencePiece models, one vocabulary, and a decoder that starts with ``<pad>``."""
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    vocabulary = pieces(folder, sentences, "source.spm").read_text(encoding="utf-8")
    pieces(folder, sentences, "target.spm").unlink()
    (folder / "source.spm.vocab").unlink()
    names = [line.split("\t")[0] for line in vocabulary.splitlines()]
    names = ["</s>", "<unk>", *(name for name in names if name not in ("</s>", "<unk>", "<s>")), ">>spa<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({name: number for number, name in enumerate(names)}))
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"), model_max_length=512
    )
    size = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    settings = MarianConfig(
        vocab_size=len(names), d_model=32, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
        pad_token_id=len(names) - 1, eos_token_id=0, forced_eos_token_id=None, bos_token_id=None, init_std=0.3,
        decoder_start_token_id=len(names) - 1, scale_embedding=True, static_position_embeddings=True,
        activation_function="swish", **size,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return MarianMTModel(settings)


def madlad(folder: Path, sentences: list[str]) -> Any:
    """A folder as MADLAD-400's: one SentencePiece model with the languages' tokens, and a gated T5."""
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    vocabulary = pieces(folder, sentences, "spiece.model", user_defined_symbols=["<2es>", "<2de>"], pad_id=3)
    names = [line.split("\t") for line in vocabulary.read_text(encoding="utf-8").splitlines()]
    vocabulary.unlink()
    tokenizer = T5Tokenizer(
        vocab=[(name, float(score)) for name, score in names], eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        extra_ids=0, additional_special_tokens=["<2es>", "<2de>"],
    )  # fmt: skip
    settings = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4, initializer_factor=3.0,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, decoder_start_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return T5ForConditionalGeneration(settings)


KINDS = {
    "opus": (opus, {"text_prefix": ">>{target}<<", "codes": {"spa_Latn": "spa"}}, ">>spa<<"),
    "madlad": (madlad, {"text_prefix": "<2{target}>", "codes": {"spa_Latn": "es"}}, "<2es>"),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    import torch

    from tests.translation.conftest import SENTENCES

    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(1)
    network = KINDS[request.param][0](folder, list(SENTENCES))
    network.eval().save_pretrained(folder)
    yield request.param, folder


def written_by_transformers(folder: Path, text: str) -> str:
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    network = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).eval()
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.inference_mode():
        out = network.generate(ids, num_beams=1, do_sample=False, max_new_tokens=LIMIT)[0]
    return " ".join(str(tokenizer.decode(out, skip_special_tokens=True)).split())


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_it_writes_what_transformers_writes(model: tuple[str, Path], sentences: list[str], tmp_path: Path) -> None:
    kind, folder = model
    _, options, prefix = KINDS[kind]
    assert json.loads((folder / "config.json").read_text())["architectures"]
    manifest = convert(folder, tmp_path / "model", "float32")
    assert manifest == json.loads((tmp_path / "model" / MANIFEST).read_text())
    settings = config.CTranslate2(
        kind="ct2", model=tmp_path / "model", device="cpu", workers=1, beam=1, retry_ngram=0, length_factor=0.01,
        length_constant=LIMIT, **options,
    )  # fmt: skip
    found = translate_all(CTranslate2("any", settings), sentences, "eng_Latn", "spa_Latn")
    expected = [written_by_transformers(folder, f"{prefix} {sentence}") for sentence in sentences]
    assert [translated.text for translated in found] == expected
    assert len(set(expected)) > 1 and any(expected)
