"""Any sequence-to-sequence model in CTranslate2's format: OPUS-MT, MADLAD-400, and (in its own module) NLLB.

CTranslate2 cuts a long input and stops a long output without a word, and adds no special tokens. Here inputs are cut
and flagged, the end token is asked for and looked at, and the tokens are exactly those of the Hugging Face tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.batched import translate_batches
from mmclip.translation.decoding import finish, folder_digest, load_tokenizer, options
from mmclip.translation.engine import Answers, Translated, digest_of


class CTranslate2:
    """An engine of one CTranslate2 model; it loads with the first sentence."""

    def __init__(self, name: str, settings: config.CTranslate2 | config.Nllb) -> None:
        self.name = name
        self._settings = settings

    def digest(self, source: str, target: str) -> str:
        folders = {self._settings.model, self._settings.tokenizer or self._settings.model}
        return digest_of([options(self._settings), sorted(_digest(folder) for folder in folders)])

    def translate(self, sentences: Sequence[str], source: str, target: str) -> Iterator[Answers]:
        tokens = self._tokenize(sentences, source, target)
        prefix = self._target_prefix(target)
        cut = [self._cut(sentence) for sentence in tokens]
        model = self._translator  # loaded once, before the threads ask for it
        return translate_batches(
            self._settings,
            [len(sentence) for sentence in cut],
            lambda positions, ngram: self._write(model, [cut[position] for position in positions], prefix, ngram),
            lambda position, written: self._finish(sentences[position], len(tokens[position]), written, len(prefix)),
            threads=self._workers + 1,  # one more, so that a worker finds its next batch waiting
        )

    def close(self) -> None:
        for loaded in ("_translator", "_tokenizer"):
            self.__dict__.pop(loaded, None)

    def _tokenize(self, sentences: Sequence[str], source: str, target: str) -> list[list[str]]:
        """The tokens of each sentence, with all special tokens that the model was trained with."""
        assert isinstance(self._settings, config.CTranslate2)
        prefix = self._settings.text_prefix.format(target=self._settings.codes.get(target, target))
        texts = [f"{prefix} {sentence}" if prefix else sentence for sentence in sentences]
        return [self._tokenizer.convert_ids_to_tokens(ids) for ids in self._tokenizer(texts)["input_ids"]]

    def _target_prefix(self, target: str) -> list[str]:
        """Tokens that the output must start with."""
        return []

    def _cut(self, tokens: list[str]) -> list[str]:
        """The tokens, at most as many as the engine reads; the end token stays."""
        limit = self._settings.max_input
        return tokens if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]

    def _write(self, model: Any, tokens: list[list[str]], prefix: list[str], ngram: int) -> list[list[str]]:
        """The tokens that the model writes for a batch of one length."""
        settings = self._settings
        try:
            results = model.translate_batch(
                tokens,
                target_prefix=[prefix] * len(tokens) if prefix else None,
                beam_size=settings.beam,
                no_repeat_ngram_size=ngram,
                repetition_penalty=settings.repetition_penalty,
                max_input_length=0,
                max_decoding_length=settings.max_output(len(tokens[0])),
                return_end_token=True,
            )
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"engine {self.name}: CTranslate2 stopped ({reason}); try smaller batch_tokens") from error
        return [result.hypotheses[0] for result in results]

    def _finish(self, sentence: str, read: int, written: list[str], prefix: int) -> Translated:
        ended = written[-1:] == [self._tokenizer.eos_token]
        body = written[prefix : len(written) - ended]
        ids = self._tokenizer.convert_tokens_to_ids(body)
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return finish(self._settings, sentence, text, read, len(written), ended)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._settings.tokenizer or self._settings.model, self.name)

    @cached_property
    def _device(self) -> str:
        import ctranslate2

        if self._settings.device != "auto":
            return self._settings.device
        return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"

    @property
    def _workers(self) -> int:
        return self._settings.workers or (cores() if self._device == "cpu" else 1)

    @cached_property
    def _translator(self) -> Any:
        import ctranslate2

        settings = self._settings
        if not (settings.model / "model.bin").is_file():
            raise UserError(f"engine {self.name}: {settings.model}: no model.bin there; make it with mmclip convert")
        try:
            return ctranslate2.Translator(
                str(settings.model),
                device=self._device,
                compute_type=settings.compute_type,
                inter_threads=self._workers,
                intra_threads=1,
            )
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"engine {self.name}: {settings.model}: CTranslate2 cannot load it ({reason})") from error


def cores() -> int:
    """Cores of this job: $OMP_NUM_THREADS, which Snakemake sets to a rule's threads, else all that it may run on."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0))
    return min(int(given), available) if given.isdecimal() and int(given) else available


_digest = cache(folder_digest)
