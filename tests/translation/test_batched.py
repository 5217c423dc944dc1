"""Batches on workers: one length each, handed on as they are done, no more under way than workers keep busy."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.config.translation import Decoding
from mmclip.translation.batched import batches, translate_batches
from mmclip.translation.engine import Translated

GOOD, LOOPED = Translated("Sin derrame."), Translated("sin sin sin sin sin", ("loop",))


def test_batches_hold_one_length_each() -> None:
    lengths = [8, 9, 8, 17, 8, 1, 9, 40, 8, 8]
    found = batches(lengths, batch_tokens=32)
    assert sorted(position for batch in found for position in batch) == list(range(len(lengths)))
    for batch in found:
        assert len({lengths[position] for position in batch}) == 1
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= 32
    assert found == [[7], [3], [1, 6], [0, 2, 4, 8], [9], [5]]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=60),
    st.integers(1, 100),
    st.integers(1, 3),
)
def test_what_a_kill_would_lose_is_bounded(sentences: list[tuple[int, bool]], batch_tokens: int, threads: int) -> None:
    """At each part: given to the model and not yet yielded are `threads` batches, and less than two waiting again."""
    lengths = [length for length, _ in sentences]
    begun: set[int] = set()
    tried: list[tuple[int, int]] = []

    def run(positions: list[int], ngram: int) -> list[Translated]:
        begun.update(positions)
        tried.extend((position, ngram) for position in positions)
        return [LOOPED if sentences[position][1] and not ngram else GOOD for position in positions]

    chosen = Decoding(batch_tokens=batch_tokens)
    largest = max([batch_tokens, *lengths])
    done: dict[int, Translated] = {}
    for part in translate_batches(chosen, lengths, run, lambda _, written: written, threads):
        assert part and not part.keys() & done.keys()
        done |= part
        assert sum(lengths[position] for position in begun - done.keys()) <= (threads + 2) * largest
    again = {position for position, (_, loops) in enumerate(sentences) if loops}
    assert sorted(tried) == sorted([(i, 0) for i in range(len(sentences))] + [(i, 4) for i in again])
    assert done == {i: Translated(GOOD.text, ("retried",)) if i in again else GOOD for i in range(len(sentences))}


def test_a_finished_batch_does_not_wait_for_a_slow_one() -> None:
    slow_may_end = threading.Event()

    def run(positions: list[int], ngram: int) -> Sequence[str]:
        if positions == [0]:
            assert slow_may_end.wait(30)
        return ["done" for _ in positions]

    parts = translate_batches(Decoding(batch_tokens=8), [8] * 4, run, lambda _, text: Translated(text), threads=2)
    assert [list(next(parts)) for _ in range(3)] == [[1], [2], [3]]
    slow_may_end.set()
    assert list(next(parts)) == [0]
    assert not list(parts)


def test_what_lost_its_way_goes_before_what_is_not_begun() -> None:
    asked: list[tuple[list[int], int]] = []

    def run(positions: list[int], ngram: int) -> list[Translated]:
        asked.append((positions, ngram))
        return [LOOPED if position < 3 and not ngram else GOOD for position in positions]

    parts = translate_batches(Decoding(batch_tokens=16), [8] * 6, run, lambda _, written: written)
    assert [sorted(part) for part in parts] == [[0, 1], [3], [4, 5], [2]]
    assert asked == [([0, 1], 0), ([0, 1], 4), ([2, 3], 0), ([4, 5], 0), ([2], 4)], "they fill a batch, or are the last"


def test_a_failing_model_fails_the_translation() -> None:
    def run(positions: list[int], ngram: int) -> list[Translated]:
        if positions == [1]:
            raise MemoryError
        return [GOOD]

    parts = translate_batches(Decoding(batch_tokens=8), [8, 8, 8], run, lambda _, written: written)
    assert next(parts) == {0: GOOD}
    with pytest.raises(MemoryError):
        next(parts)
