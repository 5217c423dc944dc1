import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.filtering.tokens import ascii_digits, characters, fold, words
from mmclip.languages import LANGUAGES


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("spa_Latn", "DERECHO", "derecho"),
        ("fra_Latn", "e\u0301panchement", "épanchement"),
        ("tur_Latn", "SAĞ AKCİĞER IŞIK", "sağ akciğer ışık"),
        ("arb_Arab", "الأَيْسَر", "الايسر"),
        ("arb_Arab", "يمنى", "يمني"),
        ("pes_Arab", "نمی\u200cشود", "نمیشود"),
        ("hin_Deva", "बाएँ", "बाएं"),
        ("jpn_Jpan", "ｍｍ ﾐﾘ", "mm ミリ"),
        ("rus_Cyrl", "РЁБРА", "ребра"),
        ("fra_Latn", "d’un", "d'un"),
    ],
)
def test_spellings_of_one_word_fold_to_one_form(language: str, one: str, other: str) -> None:
    assert fold(one, language) == fold(other, language)


@given(st.text(max_size=40), st.sampled_from(sorted(LANGUAGES)))
def test_folding_twice_changes_nothing(text: str, language: str) -> None:
    once = fold(text, language)
    assert fold(once, language) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no hay derrame, 2.5 cm", ["no", "hay", "derrame", "2", "5", "cm"]),
        ("दाहिने फेफड़े", ["दाहिने", "फेफड़े"]),
        ("___ left-sided", ["left", "sided"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(fold(text, "hin_Deva")) == [unicodedata.normalize("NFKC", word) for word in expected]


def test_characters_keep_numbers_and_latin_words_whole() -> None:
    assert characters("右肺ct见12毫米。") == ["右", "肺", "ct", "见", "12", "毫", "米"]


@given(st.integers(0, 10**9))
def test_digits_of_every_script(number: int) -> None:
    for zero in "٠۰०０":
        assert ascii_digits("".join(chr(ord(zero) + int(digit)) for digit in str(number))) == str(number)
