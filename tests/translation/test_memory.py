"""Known translations, from the phrase book and from a file."""

from pathlib import Path

import pytest

from mmclip.errors import UserError
from mmclip.phantom import phrasebook
from mmclip.translation.engine import Translated
from mmclip.translation.memory import Memory, read_memory
from tests.translation.fakes import Remembering, translate_all


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
    found = translate_all(memory, ["No effusion.", "Edema.", "The lungs are clear."], "eng_Latn", "spa_Latn")
    assert found == [
        Translated("Sin derrame."),
        Translated("", ("empty",)),
        Translated("Los pulmones están libres."),
    ]
    assert translate_all(memory, ["No effusion."], "eng_Latn", "fra_Latn") == [Translated("", ("empty",))]


def test_only_unknown_sentences_fall_through(file: Path) -> None:
    other = Remembering(batch=1)
    parts = list(Memory("memory", file, other).translate(["Edema.", "No effusion.", "Clear."], "eng_Latn", "spa_Latn"))
    assert [{position: value.text for position, value in part.items()} for part in parts] == [
        {1: "Sin derrame."},
        {0: "EDEMA."},
        {2: "CLEAR."},
    ], "the other engine's parts are handed on as they come"
    assert other.asked == ["Edema.", "Clear."]


@pytest.mark.parametrize("target", [code for code in phrasebook.available() if code != "eng_Latn"])
def test_phrase_book_knows_every_training_sentence(target: str) -> None:
    memory = Memory("phrasebook")
    known = dict(phrasebook.translations(target))
    found = translate_all(memory, list(known), "eng_Latn", target)
    assert [translated.text for translated in found] == list(known.values())
    assert not [translated for translated in found if translated.flags]


def test_phrase_book_is_english(file: Path) -> None:
    sentence = next(phrasebook.translations("eng_Latn"))[0]
    assert translate_all(Memory("phrasebook"), [sentence], "fra_Latn", "spa_Latn")[0].text == ""


def test_digest_follows_the_language_only(file: Path) -> None:
    before = {code: Memory("m", file).digest("eng_Latn", code) for code in ("spa_Latn", "deu_Latn")}
    file.write_text(file.read_text() + "Edema.\tspa_Latn\tEdema.\n")
    assert Memory("m", file).digest("eng_Latn", "spa_Latn") != before["spa_Latn"]
    assert Memory("m", file).digest("eng_Latn", "deu_Latn") == before["deu_Latn"]
    assert Memory("m", file, Remembering()).digest("eng_Latn", "deu_Latn") != before["deu_Latn"]


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
