import pytest

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.untranslated import OWN, untranslated


def left(source: str, translation: str, language: str, source_language: str = "eng_Latn") -> int:
    return int(untranslated(Pairs([source], [translation], source_language, language))[0])


@pytest.mark.parametrize(
    ("source", "translation", "language", "words"),
    [
        ("No pleural effusion.", "Sin effusion pleural.", "spa_Latn", 1),
        ("No pleural effusion.", "Sin derrame pleural.", "spa_Latn", 0),
        ("No pleural effusion is seen.", "No pleural effusion is seen.", "tur_Latn", 3),  # "no", "is" are too short
        ("Blunting of the sulcus.", "Blunting del seno.", "ita_Latn", 1),
        ("INTERVAL REMOVAL.", "ınterval çıkarılma.", "tur_Latn", 1),
        ("Multiple dense opacities.", "Opacità dense multiple.", "ita_Latn", 0),
        ("Multiple dense opacities.", "Opacities densas.", "spa_Latn", 1),
        # another script: Latin letters of the source are English, whatever they are glued to
        ("Small pleural effusion.", "左侧pleural积液", "zho_Hans", 1),
        ("The carina is normal.", "Carina в норме.", "rus_Cyrl", 1),
        ("Carina is normal.", "La carina es normal.", "spa_Latn", 0),
    ],
)
def test_words_of_the_source_that_are_none_of_the_language(
    source: str, translation: str, language: str, words: int
) -> None:
    assert left(source, translation, language) == words


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("A 12 mm nodule.", "一个12 mm结节。"),
        ("Right PICC line.", "右PICC管。"),
        ("right picc line", "右picc管"),
        ("The Dobbhoff tube and Swan-Ganz catheter.", "Dobbhoff管和Swan-Ganz导管。"),
        ("Discussed with Dr Smith.", "已与Smith医生讨论。"),
        ("A stent is seen.", "可见stent。"),
    ],
)
def test_numbers_units_abbreviations_names_and_devices_may_stay(source: str, translation: str) -> None:
    assert left(source, translation, "zho_Hans") == 0


def test_what_the_language_says_without_being_asked_is_its_own() -> None:
    """No list knows the word; translations of sources without it do."""
    asked = ("It lies beneath.", "Es liegt beneath.")
    unasked = [(f"Number {n}.", f"Das beneath {n}.") for n in range(OWN)]
    for pairs, words in (([asked], 1), ([asked, *unasked[1:]], 1), ([asked, *unasked], 0), ([asked] * 50 + unasked, 1)):
        sources, translations = zip(*pairs, strict=True)
        assert untranslated(Pairs(sources, translations, "eng_Latn", "deu_Latn"))[0] == words


@pytest.mark.parametrize(("source", "target", "words"), [("spa_Latn", "eng_Latn", 1), ("spa_Latn", "por_Latn", 0)])
def test_into_english_the_other_languages_list_counts_and_without_english_none(
    source: str, target: str, words: int
) -> None:
    assert left("Sin derrame pleural.", "No derrame pleural.", target, source) == words
