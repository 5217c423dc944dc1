import pytest

from mmclip.config.base import load
from mmclip.filtering.cues import FOLDER, CueFile, cues
from mmclip.filtering.tokens import fold
from mmclip.languages import LANGUAGES


def test_every_language_has_its_list_and_no_other() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_list_says_whose_it_is_and_that_nobody_reviewed_it(code: str) -> None:
    content = load(CueFile, FOLDER / f"{code}.yaml")
    assert content.language == code
    assert content.reviewed_by or "not reviewed" in content.note


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_entry_finds_itself(code: str) -> None:
    content, compiled = load(CueFile, FOLDER / f"{code}.yaml"), cues(code)
    for name in ("left", "right", "both", "negation", "implied"):
        for entry in getattr(content, name):
            assert getattr(compiled, name)(fold(entry.replace("*", ""), code)), (name, entry)
        for phrase in content.ignore.get(name, ()):
            assert not getattr(compiled, name)(fold(phrase.replace("*", ""), code)), (name, phrase)


@pytest.mark.parametrize("code", LANGUAGES)
def test_left_and_right_never_match_each_other(code: str) -> None:
    content, compiled = load(CueFile, FOLDER / f"{code}.yaml"), cues(code)
    assert not any(compiled.right(fold(entry.strip("*"), code)) for entry in content.left)
    assert not any(compiled.left(fold(entry.strip("*"), code)) for entry in content.right)


@pytest.mark.parametrize(
    ("code", "text", "found"),
    [
        ("spa_Latn", "izquierda", True),
        ("spa_Latn", "xizquierda", False),
        ("tur_Latn", "SOL AKCİĞER", True),
        ("arb_Arab", "والأيسر", True),
        ("arb_Arab", "اليُسرى", True),
        ("hin_Deva", "बाएं", True),
        ("hin_Deva", "बाएँ", True),
        ("pes_Arab", "سمت چپ", True),
    ],
)
def test_left_with_case_marks_and_glued_articles(code: str, text: str, found: bool) -> None:
    assert cues(code).left(fold(text, code)) is found
