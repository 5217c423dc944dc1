"""A tiny NLLB: the real tokenizer class and architecture, random weights, made in a second."""

import json
from pathlib import Path

import pytest

SENTENCES = (
    "No pleural effusion.",
    "Heart size is normal.",
    "The lungs are clear.",
    "Small left pleural effusion with adjacent atelectasis.",
    "No focal consolidation, pleural effusion or pneumothorax is seen.",
    "A nodule of 1.5 cm is present in the right upper lobe.",
    "Unchanged.",
    "Mild pulmonary edema, increased since the prior study.",
)


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return list(SENTENCES)


@pytest.fixture(scope="session")
def tiny_nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with a random M2M100 model and an NLLB tokenizer trained on the few sentences."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    bpe.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=120, special_tokens=["<s>", "<pad>", "</s>", "<unk>"])
    )
    model = json.loads(bpe.to_str())["model"]
    tokenizer = NllbTokenizer(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])
    torch.manual_seed(6)
    size = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    settings = M2M100Config(
        vocab_size=len(tokenizer) + 2,
        d_model=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        init_std=0.2,
        decoder_start_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **size,
    )
    folder = tmp_path_factory.mktemp("nllb") / "tiny"
    network = M2M100ForConditionalGeneration(settings).eval()
    with torch.no_grad():  # words and the end token are made likelier, so that some sentences end and others do not
        network.model.shared.weight[len(bpe.get_vocab()) :] *= 0.1
        network.model.shared.weight[tokenizer.eos_token_id] *= 3.0
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
