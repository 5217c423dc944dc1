"""Batches of one length on a neural engine's workers: each handed on as it is done, what lost its way tried again.

Sentences of one length need no padding, which costs time and, in the last bit, changes what is computed: whatever else
is in its batch, and however often a run was killed before, a sentence gets the same translation and the same limit.

Only as many batches as keep the workers busy are given to the model at once, and a finished one is yielded before the
next is awaited. So whoever stores what is yielded loses, when killed, no more than the batches under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from mmclip.config.translation import Decoding
from mmclip.translation.engine import Answers, Translated

Written = TypeVar("Written")
"""What a model writes for one sentence, before it is text."""

_LOST = {"loop", "no_end"}
"""Flags of a decoder that did not find its way out."""


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Positions of sentences to translate together, the longest first: of one length, at most `batch_tokens` in all."""
    out: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        size = lengths[position]
        if out and lengths[out[-1][0]] == size and (len(out[-1]) + 1) * size <= batch_tokens:
            out[-1].append(position)
        else:
            out.append([position])
    return out


def translate_batches(
    settings: Decoding,
    lengths: Sequence[int],
    run: Callable[[list[int], int], Sequence[Written]],
    finish: Callable[[int, Written], Translated],
    threads: int = 1,
) -> Iterator[Answers]:
    """Translate all, and again, with no n-gram of ``retry_ngram`` tokens twice, what looped or did not end.

    Only those sentences are, since a ban on repeated n-grams also forbids what a report rightly says twice. They wait
    until they fill a batch. A second answer that is no better is dropped; one that is taken is flagged ``retried``.

    Args:
        lengths: source tokens of each sentence, at most ``max_input``.
        run: gives a batch of positions to the model, no n-gram of the given length twice (0: any); called from
            `threads` threads.
        finish: the translation from what the model wrote for a position; called from this thread.
        threads: batches that are given to the model at a time.
    """
    queue = deque((positions, False) for positions in batches(lengths, settings.batch_tokens))
    running: dict[Future[Sequence[Written]], tuple[list[int], bool]] = {}
    lost: dict[int, Translated] = {}
    waiting: list[int] = []  # of the lost, those whose second try is not in the queue
    with ThreadPoolExecutor(threads) as pool:
        while queue or running or waiting:
            full = sum(lengths[position] for position in waiting) >= settings.batch_tokens
            if full or not (queue or running):
                again = batches([lengths[position] for position in waiting], settings.batch_tokens)
                queue.extendleft(([waiting[i] for i in some], True) for some in again)
                waiting = []
            while queue and len(running) < threads:
                positions, second = queue.popleft()
                ngram = settings.retry_ngram if second else settings.no_repeat_ngram
                running[pool.submit(run, positions, ngram)] = (positions, second)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                positions, second = running.pop(future)
                found = {i: finish(i, written) for i, written in zip(positions, future.result(), strict=True)}
                if second:
                    yield {position: _better(lost.pop(position), value) for position, value in found.items()}
                    continue
                astray = {i for i, value in found.items() if settings.retry_ngram and _LOST & set(value.flags)}
                lost |= {position: found[position] for position in astray}
                waiting += sorted(astray)
                if len(astray) < len(found):
                    yield {position: value for position, value in found.items() if position not in astray}


def _better(first: Translated, second: Translated) -> Translated:
    if not second.text or _LOST & set(second.flags):
        return first
    return Translated(second.text, (*second.flags, "retried"))
