"""What the neural engines share: tokenizers, batches of similar length, and the flags of a decoder's output."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmclip.config.translation import Decoding
from mmclip.errors import UserError
from mmclip.translation.engine import Translated
from mmclip.translation.flags import flags_of

Token = TypeVar("Token")
"""A piece as CTranslate2 names it, or its number."""

_BUCKET = 8
"""Source lengths are rounded up to a multiple of this; only sentences of one rounded length share a batch. So the limit
on a sentence's output is its own, whatever else is translated with it."""


def load_tokenizer(folder: Path, engine: str) -> Any:
    """The Hugging Face tokenizer in a folder, never from a network.

    Raises:
        UserError: there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:  # a TypeError: its vocabulary file is missing
        raise UserError(f"engine {engine}: {folder}: holds no tokenizer; copy the model's tokenizer files there") from (
            error
        )


def token_of_language(tokenizer: Any, code: str, engine: str) -> str:
    """`code` if it is a token of a many-to-many model.

    Raises:
        UserError: the tokenizer does not know it; the model would then translate into any language.
    """
    if tokenizer.convert_tokens_to_ids(code) in (None, tokenizer.unk_token_id):
        raise UserError(f"engine {engine}: the model has no language {code}; choose another engine for it")
    return code


def bucket(length: int) -> int:
    """A source length rounded up to that of its batch."""
    return -(-length // _BUCKET) * _BUCKET


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Positions of sentences to translate together, the longest first: equal buckets, at most `batch_tokens` padded."""
    out: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda i: (-bucket(lengths[i]), i)):
        size = bucket(lengths[position])
        same = bool(out) and bucket(lengths[out[-1][0]]) == size
        if same and (len(out[-1]) + 1) * size <= batch_tokens:
            out[-1].append(position)
        else:
            out.append([position])
    return out


def finish(settings: Decoding, sentence: str, text: str, read: int, written: int, ended: bool) -> Translated:
    """A translation with all its flags.

    Args:
        read: tokens of the source before it was cut to ``settings.max_input``.
        written: tokens that the decoder wrote, prefix and end token included.
        ended: whether it wrote the end token.
    """
    text = " ".join(text.split())
    limit = settings.max_output(bucket(min(read, settings.max_input)))
    flags = ["length_limit"] if read > settings.max_input or (written >= limit and not ended) else []
    flags += [] if ended else ["no_end"]
    return Translated(text, (*flags, *flags_of(sentence, text)))


_LOST = {"loop", "no_end"}
"""Flags of a decoder that did not find its way out."""


def with_second_try(
    settings: Decoding,
    sentences: Sequence[str],
    tokens: Sequence[list[Token]],
    decode: Callable[[Sequence[str], Sequence[list[Token]], int], list[Translated]],
) -> list[Translated]:
    """Guard against repetition: what looped or did not end is decoded once more under ``settings.retry_ngram``.

    Only those sentences are, since a ban on repeated n-grams also forbids what a report rightly says twice. A second
    answer that is no better is dropped; one that is taken carries the flag ``retried``.

    Args:
        tokens: of each sentence.
        decode: translates sentences with their tokens, no n-gram of the given length twice (0: any).
    """
    out = decode(sentences, tokens, settings.no_repeat_ngram)
    lost = [position for position, value in enumerate(out) if _LOST & set(value.flags)]
    if settings.retry_ngram and lost:
        again = decode([sentences[i] for i in lost], [tokens[i] for i in lost], settings.retry_ngram)
        for position, second in zip(lost, again, strict=True):
            if second.text and not _LOST & set(second.flags):
                out[position] = Translated(second.text, (*second.flags, "retried"))
    return out


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over the names and contents of a folder's files.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a model")
    total = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            with file.open("rb") as handle:
                total.update(f"{file.name}\0{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def options(settings: Decoding) -> dict[str, Any]:
    """The settings that decide a translation, without where the model lies and how fast it runs."""
    return settings.model_dump(mode="json", exclude={"model", "tokenizer", "device", "workers", "batch_tokens"})
