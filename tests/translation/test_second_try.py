"""The guard against repetition: what looped is decoded once more, and only that."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mmclip.config import translation as config
from mmclip.translation.batched import translate_batches
from mmclip.translation.convert import convert
from mmclip.translation.engine import Translated
from mmclip.translation.nllb import Nllb
from mmclip.translation.nllb_transformers import NllbTransformers
from tests.translation.fakes import translate_all

GOOD, LOOPED = Translated("Sin derrame."), Translated("sin sin sin sin sin", ("loop",))
STOPPED = Translated("Sin", ("length_limit", "no_end"))


def guarded(first: list[Translated], second: list[Translated], ngram: int = 4) -> tuple[list[Translated], list[int]]:
    """What comes of first and second answers to sentences of one length, and which were asked for twice."""
    asked: list[int] = []

    def run(positions: list[int], banned: int) -> list[Translated]:
        if banned == 0:
            return [first[position] for position in positions]
        assert banned == ngram
        asked.extend(positions)
        return [second[position] for position in positions]

    parts = translate_batches(config.Decoding(retry_ngram=ngram), [8] * len(first), run, lambda _, written: written)
    found = {position: value for part in parts for position, value in part.items()}
    return [found[position] for position in range(len(first))], asked


def test_only_what_looped_or_did_not_end() -> None:
    found, asked = guarded([GOOD, LOOPED, STOPPED], [LOOPED, GOOD, Translated("Otra.", ("copy",))])
    assert asked == [1, 2]
    assert found == [GOOD, Translated(GOOD.text, ("retried",)), Translated("Otra.", ("copy", "retried"))]


@pytest.mark.parametrize("second", [LOOPED, STOPPED, Translated("", ("empty",))])
def test_a_second_answer_that_is_no_better_is_dropped(second: Translated) -> None:
    assert guarded([LOOPED], [second])[0] == [LOOPED]


def test_it_can_be_turned_off() -> None:
    assert guarded([LOOPED], [], ngram=0) == ([LOOPED], [])
    assert guarded([GOOD], []) == ([GOOD], [])


def test_both_engines_try_again(
    tiny_nllb: Path, sentences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model does not end some of its sentences: they, and no others, are decoded under the ban."""
    convert(tiny_nllb, tmp_path / "model", "float32")
    for retry in (0, 3):
        decoding = {"beam": 1, "device": "cpu", "retry_ngram": retry}
        fast = Nllb("fast", config.Nllb(kind="nllb", model=tmp_path / "model", workers=1, **decoding))
        slow = NllbTransformers("slow", config.NllbTransformers(kind="nllb-transformers", model=tiny_nllb, **decoding))
        for engine, method in ((fast, "_write"), (slow, "generate")):
            decoded = Counter[int]()
            inner = getattr(engine, method)

            def counting(*arguments: Any, inner: Any = inner, decoded: Counter[int] = decoded) -> Any:
                *_, batch, _, ngram = arguments
                decoded[ngram] += len(batch)
                return inner(*arguments)

            monkeypatch.setattr(engine, method, counting)
            found = translate_all(engine, sentences, "eng_Latn", "deu_Latn")
            lost = sum(bool({"no_end", "loop", "retried"} & set(translated.flags)) for translated in found)
            assert 0 < lost < len(sentences)
            assert decoded == Counter({0: len(sentences), **({3: lost} if retry else {})})
