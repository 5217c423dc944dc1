import itertools

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


def wordings(entry: str, code: str) -> list[str]:
    """Every way to choose among the words of an entry, folded."""
    choices = (part.split("/") for part in entry.replace("*", "").split())
    return [fold(" ".join(words), code) for words in itertools.product(*choices)]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_entry_finds_itself(code: str) -> None:
    content, compiled = load(CueFile, FOLDER / f"{code}.yaml"), cues(code)
    for name in ("left", "right", "both", "negation", "implied", "unchanged", "abnormal", "no_abnormality", "shared"):
        for entry in getattr(content, name):
            assert all(getattr(compiled, name)(wording) for wording in wordings(entry, code)), (name, entry)
        for phrase in content.ignore.get(name, ()):
            assert not any(getattr(compiled, name)(wording) for wording in wordings(phrase, code)), (name, phrase)


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_says_unchanged_denies_and_implies_nothing(code: str) -> None:
    content, compiled = load(CueFile, FOLDER / f"{code}.yaml"), cues(code)
    for wording in (wording for entry in content.unchanged for wording in wordings(entry, code)):
        assert compiled.unchanged(wording), wording
        assert not compiled.negation(wording), wording
        assert not compiled.implied(wording), wording
    assert all(compiled.unchanged(wording) for entry in content.no_abnormality for wording in wordings(entry, code))


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
