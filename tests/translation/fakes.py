"""Engines that remember what they were asked."""

from collections.abc import Callable, Sequence

from mmclip.translation.engine import Translated


class Remembering:
    """An engine that writes each sentence as `answer` says, and keeps a list of all that it was asked for."""

    def __init__(self, answer: Callable[[str], str] = str.upper, name: str = "remembering") -> None:
        self.name = name
        self.asked: list[str] = []
        self._answer = answer

    def digest(self, source: str, target: str) -> str:
        return self.name

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[Translated]:
        self.asked += sentences
        return [Translated(self._answer(sentence)) for sentence in sentences]

    def close(self) -> None:
        pass
