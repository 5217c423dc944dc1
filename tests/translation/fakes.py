"""Engines that remember what they were asked."""

from collections.abc import Callable, Iterator, Sequence

from mmclip.translation.engine import Answers, Engine, Translated


def translate_all(engine: Engine, sentences: Sequence[str], source: str, target: str) -> list[Translated]:
    """The translation of each sentence, in order; each must have come once."""
    found: dict[int, Translated] = {}
    for part in engine.translate(sentences, source, target):
        assert part and not part.keys() & found.keys()
        found |= part
    return [found[position] for position in range(len(sentences))]


class Remembering:
    """An engine that writes each sentence as `answer` says, and keeps a list of all that it was asked for.

    Args:
        batch: sentences of each part of its answers.
        fails_after: parts after which it fails, as if it were killed.
        loses: sentences that it never answers.
    """

    def __init__(
        self,
        answer: Callable[[str], str] = str.upper,
        name: str = "remembering",
        batch: int = 2,
        fails_after: int | None = None,
        loses: str = "",
    ) -> None:
        self.name = name
        self.asked: list[str] = []
        self.claimed: list[list[str]] = []
        self._answer, self._batch, self._fails_after, self._loses = answer, batch, fails_after, loses

    def digest(self, source: str, target: str) -> str:
        return self.name

    def translate(self, sentences: Sequence[str], source: str, target: str) -> Iterator[Answers]:
        self.claimed.append(list(sentences))
        for part, start in enumerate(range(0, len(sentences), self._batch)):
            if part == self._fails_after:
                raise KeyboardInterrupt
            positions = range(start, min(start + self._batch, len(sentences)))
            self.asked += [sentences[position] for position in positions]
            yield {
                position: Translated(self._answer(sentences[position]))
                for position in reversed(positions)
                if sentences[position] != self._loses
            }

    def close(self) -> None:
        pass
