"""NLLB-200 on Hugging Face Transformers: slower, the reference for the CTranslate2 engine. Its licence: see nllb.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import torch

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.batched import translate_batches
from mmclip.translation.decoding import finish, folder_digest, load_tokenizer, options, token_of_language
from mmclip.translation.engine import Answers, Translated, digest_of


class NllbTransformers:
    """An engine of one NLLB model in safetensors; it loads with the first sentence."""

    def __init__(self, name: str, settings: config.NllbTransformers) -> None:
        self.name = name
        self._settings = settings

    def digest(self, source: str, target: str) -> str:
        return digest_of([options(self._settings), self._model_digest])

    def translate(self, sentences: Sequence[str], source: str, target: str) -> Iterator[Answers]:
        tokenizer, limit = self._tokenizer, self._settings.max_input
        tokenizer.src_lang = token_of_language(tokenizer, source, self.name)
        first = tokenizer.convert_tokens_to_ids(token_of_language(tokenizer, target, self.name))
        tokens: list[list[int]] = tokenizer(list(sentences))["input_ids"]
        cut = [ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]] for ids in tokens]
        return translate_batches(
            self._settings,
            [len(ids) for ids in cut],
            lambda positions, ngram: self.generate([cut[position] for position in positions], first, ngram),
            lambda position, written: self._finish(sentences[position], len(tokens[position]), written),
        )

    def _finish(self, sentence: str, read: int, written: list[int]) -> Translated:
        text = self._tokenizer.decode(written[1:], skip_special_tokens=True)
        ended = written[-1:] == [self._tokenizer.eos_token_id]
        return finish(self._settings, sentence, text, read, len(written), ended)

    def generate(self, batch: list[list[int]], first: int, ngram: int = 0) -> list[list[int]]:
        """Token ids that the model writes for source ids of one length, from the language token to the end token.

        Args:
            first: id of the target language's token.
            ngram: n-grams of so many tokens may not repeat; 0 allows all.
        """
        settings = self._settings
        ids = torch.tensor(batch, device=self._model.device)
        with torch.inference_mode():
            written = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                forced_bos_token_id=first,
                num_beams=settings.beam,
                do_sample=False,
                no_repeat_ngram_size=ngram,
                repetition_penalty=settings.repetition_penalty,
                max_new_tokens=settings.max_output(ids.shape[1]),
            )
        return [_until_end(row, self._tokenizer.eos_token_id) for row in written[:, 1:].tolist()]

    def close(self) -> None:
        for loaded in ("_model", "_tokenizer"):
            self.__dict__.pop(loaded, None)

    @cached_property
    def _model_digest(self) -> str:
        return folder_digest(self._settings.model)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._settings.model, self.name)

    @cached_property
    def _model(self) -> Any:
        from safetensors import SafetensorError
        from transformers import AutoModelForSeq2SeqLM

        device = self._settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        folder = self._settings.model
        try:
            model = AutoModelForSeq2SeqLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise UserError(f"engine {self.name}: {folder}: holds no such model in safetensors") from error
        return model.eval().to(device)


def _until_end(ids: list[int], end: int) -> list[int]:
    """The ids up to the first end token, which batches pad to the length of their longest."""
    return ids[: ids.index(end) + 1] if end in ids else ids
