"""A small NLLB that translates: its tokenizer class, language tokens and architecture, trained on the phrase book.

The tokenizer comes from a real SentencePiece model file, as NLLB's does. A minute or two of training on one core is
enough to know most of :data:`SENTENCES` by heart in four languages, two of them not in Latin script.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from mmclip.phantom import phrasebook

TARGETS = ("spa_Latn", "deu_Latn", "rus_Cyrl", "zho_Hans")
SENTENCES = 60
"""Sentences that are learnt, of every kind of frame."""
_PIECES = 900
_WIDTH, _LAYERS, _BATCH = 96, 1, 48


def pairs(target: str) -> list[tuple[str, str]]:
    """English sentences of the phrase book and their translations: the same ones for every language."""
    known = sorted(phrasebook.translations(target))
    return random.Random(0).sample(known, SENTENCES)


def train_tokenizer(folder: Path) -> Any:
    """NLLB's tokenizer class on a SentencePiece model of the phrase book."""
    import sentencepiece
    from transformers import NllbTokenizer
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    texts = [text for target in TARGETS for pair in pairs(target) for text in pair]
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(folder / "sentencepiece.bpe"),
        model_type="bpe",
        vocab_size=_PIECES,
        hard_vocab_limit=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "sentencepiece.bpe.vocab").unlink()
    return NllbTokenizer.from_pretrained(folder, local_files_only=True, extra_special_tokens=FAIRSEQ_LANGUAGE_CODES)


def train(folder: Path, steps: int = 700) -> Path:
    """Train, save as a Hugging Face folder of safetensors, and return it."""
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    tokenizer = train_tokenizer(folder)
    torch.manual_seed(0)
    settings = M2M100Config(
        vocab_size=len(tokenizer) + 3,  # NLLB's model has more rows than its tokenizer has tokens
        d_model=_WIDTH,
        encoder_layers=_LAYERS,
        decoder_layers=_LAYERS,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * _WIDTH,
        decoder_ffn_dim=2 * _WIDTH,
        max_position_embeddings=256,
        dropout=0.0,
        attention_dropout=0.0,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        decoder_start_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    network = M2M100ForConditionalGeneration(settings)
    examples = [
        (_ids(tokenizer, source, "eng_Latn"), _ids(tokenizer, translation, target))
        for target in TARGETS
        for source, translation in pairs(target)
    ]
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    rng = random.Random(0)
    for _ in range(steps):
        batch = rng.sample(examples, _BATCH)
        sources, targets = (_padded([row[side] for row in batch], tokenizer.pad_token_id) for side in (0, 1))
        labels = targets.masked_fill(targets == tokenizer.pad_token_id, -100)
        loss = network(input_ids=sources, attention_mask=sources != tokenizer.pad_token_id, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    network.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _ids(tokenizer: Any, text: str, language: str) -> list[int]:
    """Language token, pieces and end token: NLLB's form of a source and of a target."""
    tokenizer.src_lang = language
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def _padded(rows: list[list[int]], pad: int) -> Any:
    import torch

    longest = max(map(len, rows))
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
