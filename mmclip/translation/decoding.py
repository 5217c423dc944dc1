"""What the neural engines share: tokenizers, the flags of a decoder's output, and what decides a translation."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mmclip.config.translation import Decoding
from mmclip.errors import UserError
from mmclip.translation.engine import Translated
from mmclip.translation.flags import flags_of


def load_tokenizer(folder: Path, engine: str) -> Any:
    """The Hugging Face tokenizer in a folder, never from a network.

    Raises:
        UserError: there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
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


def finish(settings: Decoding, sentence: str, text: str, read: int, written: int, ended: bool) -> Translated:
    """A translation with all its flags.

    Args:
        read: tokens of the source before it was cut to ``settings.max_input``.
        written: tokens that the decoder wrote, prefix and end token included.
        ended: whether it wrote the end token.
    """
    text = " ".join(text.split())
    limit = settings.max_output(min(read, settings.max_input))
    flags = ["length_limit"] if read > settings.max_input or (written >= limit and not ended) else []
    flags += [] if ended else ["no_end"]
    return Translated(text, (*flags, *flags_of(sentence, text)))


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
