"""The guard against repetition: what looped is decoded once more, and only that."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmclip.config import translation as config
from mmclip.translation.convert import convert
from mmclip.translation.decoding import with_second_try
from mmclip.translation.engine import Translated
from mmclip.translation.nllb import Nllb
from mmclip.translation.nllb_transformers import NllbTransformers

GOOD, LOOPED = Translated("Sin derrame."), Translated("sin sin sin sin sin", ("loop",))
STOPPED = Translated("Sin", ("length_limit", "no_end"))


def guarded(first: list[Translated], second: list[Translated], ngram: int = 4) -> tuple[list[Translated], list[int]]:
    asked: list[int] = []

    def decode(sentences: Sequence[str], tokens: Sequence[list[int]], banned: int) -> list[Translated]:
        assert list(sentences) == [f"s{number}" for (number,) in tokens]
        if banned == 0:
            return list(first)
        assert banned == ngram
        asked.extend(number for (number,) in tokens)
        return second

    numbers = range(len(first))
    sentences, tokens = [f"s{number}" for number in numbers], [[number] for number in numbers]
    return with_second_try(config.Decoding(retry_ngram=ngram), sentences, tokens, decode), asked


def test_only_what_looped_or_did_not_end() -> None:
    found, asked = guarded([GOOD, LOOPED, STOPPED], [GOOD, Translated("Otra.", ("copy",))])
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
        for engine, method in ((fast, "_start"), (slow, "generate")):
            decoded = Counter[int]()
            inner = getattr(engine, method)

            def counting(
                batch: list[Any], first: Any, ngram: int, *, inner: Any = inner, decoded: Counter[int] = decoded
            ) -> Any:
                decoded[ngram] += len(batch)
                return inner(batch, first, ngram)

            monkeypatch.setattr(engine, method, counting)
            found = engine.translate(sentences, "eng_Latn", "deu_Latn")
            lost = sum(bool({"no_end", "loop", "retried"} & set(translated.flags)) for translated in found)
            assert 0 < lost < len(sentences)
            assert decoded == Counter({0: len(sentences), **({3: lost} if retry else {})})
