"""Known translations, from the phrase book and from a file."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mmclip.errors import UserError
from mmclip.phantom import phrasebook
from mmclip.translation.engine import Translated
from mmclip.translation.memory import Memory, read_memory


class Shouting:
    """An engine that remembers what it was asked."""

    name = "shouting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def digest(self, source: str, target: str) -> str:
        return "shouting"

    def translate(self, sentences: Sequence[str], source: str, target: str) -> list[Translated]:
        self.asked += sentences
        return [Translated(sentence.upper()) for sentence in sentences]

    def close(self) -> None:
        pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "memory.tsv"
    path.write_text(
        "source\tlanguage\ttranslation\n"
        "The lungs are clear.\tspa_Latn\tLos pulmones están libres.\n"
        "The lungs are clear.\tdeu_Latn\tDie Lungen sind frei.\n\n"
        "No effusion.\tspa_Latn\tSin  derrame.\n"
    )
    return path


def test_file(file: Path) -> None:
    memory = Memory("memory", file)
    found = memory.translate(["No effusion.", "Edema.", "The lungs are clear."], "eng_Latn", "spa_Latn")
    assert found == [
        Translated("Sin derrame."),
        Translated("", ("empty",)),
        Translated("Los pulmones están libres."),
    ]
    assert memory.translate(["No effusion."], "eng_Latn", "fra_Latn") == [Translated("", ("empty",))]


def test_unknown_sentences_fall_through_once(file: Path) -> None:
    other = Shouting()
    found = Memory("memory", file, other).translate(["Edema.", "No effusion.", "Edema."], "eng_Latn", "spa_Latn")
    assert [translated.text for translated in found] == ["EDEMA.", "Sin derrame.", "EDEMA."]
    assert other.asked == ["Edema."]


@pytest.mark.parametrize("target", [code for code in phrasebook.available() if code != "eng_Latn"])
def test_phrase_book_knows_every_training_sentence(target: str) -> None:
    memory = Memory("phrasebook")
    known = dict(phrasebook.translations(target))
    found = memory.translate(list(known), "eng_Latn", target)
    assert [translated.text for translated in found] == list(known.values())
    assert not [translated for translated in found if translated.flags]


def test_phrase_book_is_english(file: Path) -> None:
    sentence = next(phrasebook.translations("eng_Latn"))[0]
    assert Memory("phrasebook").translate([sentence], "fra_Latn", "spa_Latn")[0].text == ""


def test_digest_follows_the_language_only(file: Path) -> None:
    before = {code: Memory("m", file).digest("eng_Latn", code) for code in ("spa_Latn", "deu_Latn")}
    file.write_text(file.read_text() + "Edema.\tspa_Latn\tEdema.\n")
    assert Memory("m", file).digest("eng_Latn", "spa_Latn") != before["spa_Latn"]
    assert Memory("m", file).digest("eng_Latn", "deu_Latn") == before["deu_Latn"]
    assert Memory("m", file, Shouting()).digest("eng_Latn", "deu_Latn") != before["deu_Latn"]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a\tspa_Latn\n", ":1: 2 columns; expected source<TAB>language<TAB>translation"),
        (b"a\tspa_Latn\tb\na\tspanish\tb\n", ":2: 'spanish' is not a language"),
        (b"a\tspa_Latn\tb\na\tspa_Latn\tc\n", ":2: another translation into spa_Latn of an earlier line"),
        (b"a\tspa_Latn\t\xe9\n", "not UTF-8 text"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "memory.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_memory(path)
    with pytest.raises(UserError, match="no such file"):
        read_memory(tmp_path / "missing.tsv")
