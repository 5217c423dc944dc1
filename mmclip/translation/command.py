"""Any program that reads a sentence a line and writes a translation a line: Apertium, Moses, a script.

The sentences go to the programs in calls, each handed on as it is answered. An answer must have as many lines as its
call. With markers each sentence must come back behind its own number; a persistent program must at least return a
number as its last line. A call that fails in any way is halved and tried again with fresh programs, down to the one
sentence that they cannot do, which stays empty.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.engine import Answers, Translated, digest_of
from mmclip.translation.flags import flags_of
from mmclip.translation.pipeline import Pipeline, PipelineFailure

logger = logging.getLogger("mmclip.translation")

_FIRST_MARKER = 1001
_FIRST_SIZE = 32
"""Sentences of the first call."""
_QUICK, _SLOW = 2.0, 10.0
"""Seconds: a quicker call is followed by one of four times the sentences, a slower one by one of half of them. So a
process that is killed loses some seconds of work, and a quick program is not started for a few sentences."""
_GIVE_UP = 5
"""Sentences that fail one by one, before any has succeeded, until the program is taken to be broken."""


class Command:
    """An engine of one pipeline of programs a target language (each made for one source language)."""

    def __init__(self, name: str, settings: config.Command) -> None:
        self.name = name
        self._settings = settings
        self._pipelines: dict[str, Pipeline] = {}
        self._succeeded = False
        self._failed = 0
        self._size = _FIRST_SIZE

    def digest(self, source: str, target: str) -> str:
        commands = self._commands(target)
        files = [file for command in commands for file in _files(command)]
        return digest_of(["command", commands, self._settings.markers, files])

    def translate(self, sentences: Sequence[str], source: str, target: str) -> Iterator[Answers]:
        if target not in self._pipelines:
            self._pipelines[target] = Pipeline(self._commands(target), self._settings.persistent)
        start = 0
        while start < len(sentences):
            size = min(self._size, self._settings.batch)
            positions = range(start, min(start + size, len(sentences)))
            clock = time.monotonic()
            yield from self._answers(positions, sentences, target)
            if len(positions) == size:
                self._size = _next_size(size, time.monotonic() - clock)
            start += size

    def close(self) -> None:
        for pipeline in self._pipelines.values():
            pipeline.stop()

    def _commands(self, target: str) -> list[str]:
        if target not in self._settings.pipelines:
            known = ", ".join(self._settings.pipelines)
            raise UserError(f"engine {self.name}: no pipeline for {target}; it has {known}")
        return self._settings.pipelines[target]

    def _answers(self, positions: range, sentences: Sequence[str], target: str) -> Iterator[Answers]:
        asked = [sentences[position] for position in positions]
        try:
            lines = self._ask(asked, target)
        except PipelineFailure as failure:
            logger.info("engine %s: %s; %d sentences tried again", self.name, failure, len(asked))
            if len(asked) == 1:
                yield {positions[0]: self._give_up(failure)}
                return
            half = len(asked) // 2
            yield from self._answers(positions[:half], sentences, target)
            yield from self._answers(positions[half:], sentences, target)
            return
        self._succeeded = True
        texts = [" ".join(line.split()) for line in lines]
        translated = [Translated(text, flags_of(sentence, text)) for sentence, text in zip(asked, texts, strict=True)]
        yield dict(zip(positions, translated, strict=True))

    def _ask(self, sentences: Sequence[str], target: str) -> list[str]:
        seconds = self._settings.timeout + self._settings.timeout_per_sentence * len(sentences)
        ask = self._pipelines[target].ask
        if self._settings.markers:
            markers = [f"{_FIRST_MARKER + number}." for number in range(len(sentences))]
            lines = ask([line for pair in zip(markers, sentences, strict=True) for line in pair], seconds)
            return self._in_step(lines[1::2], lines[::2], markers, target)
        if self._settings.persistent:  # its output has no end that could be counted, so a last line stands for it
            markers = [f"{_FIRST_MARKER}."]
            lines = ask([*sentences, *markers], seconds)
            return self._in_step(lines[:-1], lines[-1:], markers, target)
        return ask(sentences, seconds)

    def _in_step(self, lines: list[str], found: list[str], markers: list[str], target: str) -> list[str]:
        if [line.strip() for line in found] != markers:
            self._pipelines[target].stop()
            raise PipelineFailure("its answers are out of step")
        return lines

    def _give_up(self, failure: PipelineFailure) -> Translated:
        self._failed += 1
        if not self._succeeded and self._failed >= _GIVE_UP:
            raise UserError(f"engine {self.name}: its command fails on every sentence ({failure}); try it by hand")
        return Translated("", ("empty",))


def _next_size(size: int, seconds: float) -> int:
    """Sentences of the next call after one of so many sentences that took so long."""
    if seconds < _QUICK:
        return 4 * size
    return max(1, size // 2) if seconds > _SLOW else size


def _files(command: str) -> list[str]:
    """SHA-256 of the program and of every file among its arguments, by name."""
    program, *arguments = shlex.split(command)
    paths = [Path(found) for found in [shutil.which(program)] if found] + [Path(argument) for argument in arguments]
    out = []
    for path in paths:
        if path.is_file():
            with path.open("rb") as handle:
                out.append(f"{path.name}:{hashlib.file_digest(handle, 'sha256').hexdigest()}")
    return out
