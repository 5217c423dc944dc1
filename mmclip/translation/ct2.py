"""Any sequence-to-sequence model in CTranslate2's format: OPUS-MT, MADLAD-400, and (in its own module) NLLB.

CTranslate2 cuts a long input and stops a long output without a word, and adds no special tokens. Here inputs are cut
and flagged, the end token is asked for and looked at, and the tokens are exactly those of the Hugging Face tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, cached_property, partial
from typing import Any

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.decoding import (
    batches,
    bucket,
    finish,
    folder_digest,
    load_tokenizer,
    options,
    with_second_try,
)
from mmclip.translation.engine import Translated, digest_of


class CTranslate2:
    """An engine of one CTranslate2 model; it loads with the first sentence."""

    def __init__(self, name: str, settings: config.CTranslate2 | config.Nllb) -> None:
        self.name = name
        self._settings = settings

    def digest(self, source: str, target: str) -> str:
        folders = {self._settings.model, self._settings.tokenizer or self._settings.model}
        return digest_of([options(self._settings), sorted(_digest(folder) for folder in folders)])

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[Translated]:
        tokens = self._tokenize(sentences, source, target)
        prefix = self._target_prefix(target)
        return with_second_try(self._settings, sentences, tokens, partial(self._decode, prefix))

    def _decode(
        self, prefix: list[str], sentences: Sequence[str], tokens: Sequence[list[str]], ngram: int
    ) -> list[Translated]:
        """Translate tokenized sentences, all batches at once on as many workers as there are."""
        cut = [self._cut(sentence) for sentence in tokens]
        out: list[Translated | None] = [None] * len(tokens)
        running = [
            (positions, self._start([cut[position] for position in positions], prefix, ngram))
            for positions in batches([len(sentence) for sentence in cut], self._settings.batch_tokens)
        ]
        for positions, results in running:
            for position, result in zip(positions, results, strict=True):
                written = _hypothesis(result, self.name)
                out[position] = self._finish(sentences[position], len(tokens[position]), written, len(prefix))
        return [translated for translated in out if translated is not None]

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

    def _start(self, tokens: list[list[str]], prefix: list[str], ngram: int) -> list[Any]:
        """Queue a batch of one bucket; the results block until it is done."""
        settings = self._settings
        started: list[Any] = self._translator.translate_batch(
            tokens,
            target_prefix=[prefix] * len(tokens) if prefix else None,
            asynchronous=True,
            beam_size=settings.beam,
            no_repeat_ngram_size=ngram,
            repetition_penalty=settings.repetition_penalty,
            max_input_length=0,
            max_decoding_length=settings.max_output(bucket(max(map(len, tokens)))),
            return_end_token=True,
        )
        return started

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
    def _translator(self) -> Any:
        import ctranslate2

        settings = self._settings
        if not (settings.model / "model.bin").is_file():
            raise UserError(f"engine {self.name}: {settings.model}: no model.bin there; make it with mmclip convert")
        device = settings.device
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        workers = settings.workers or (cores() if device == "cpu" else 1)
        try:
            return ctranslate2.Translator(
                str(settings.model),
                device=device,
                compute_type=settings.compute_type,
                inter_threads=workers,
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


def _hypothesis(result: Any, engine: str) -> list[str]:
    try:
        tokens: list[str] = result.result().hypotheses[0]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"engine {engine}: CTranslate2 stopped ({reason}); try smaller batch_tokens") from error
    return tokens


_digest = cache(folder_digest)
