"""The form in which sentences are looked up: what goes, what stays."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.translation.normalise import has_invisible, normalise


@pytest.mark.parametrize(
    "text, form",
    [
        ("No  effusion.", "No effusion."),
        (" No\teffusion.\r\n", "No effusion."),
        ("No\xa0effusion.", "No effusion."),
        ("No effu\xadsion.\ufeff", "No effusion."),
        ("No\x00 effu\x07sion.", "No effusion."),
        ("No \u202eeffusion\u202c.", "No effusion."),
        ("de\u0301me", "d\u00e9me"),
        ("RLL nodule of 1.5 cm", "RLL nodule of 1.5 cm"),
        ("No effusion", "No effusion"),
        ("می\u200cشود", "می\u200cشود"),
        ("\u200b\x00 ", ""),
    ],
)
def test_known_answers(text: str, form: str) -> None:
    assert normalise(text) == form


@given(st.text())
def test_twice_is_once(text: str) -> None:
    form = normalise(text)
    assert normalise(form) == form
    assert form == form.strip() and "  " not in form
    assert not has_invisible(form)


@given(st.text())
def test_case_digits_and_words_stay(text: str) -> None:
    form = normalise(text)
    composed = unicodedata.normalize("NFC", form)
    assert [letter for letter in composed if letter.isdigit()] == [
        letter for letter in unicodedata.normalize("NFC", text) if letter.isdigit()
    ]
    if text.isascii() and text.isprintable():
        assert form.split() == text.split()


@given(st.text(), st.text())
def test_only_what_nobody_sees_makes_two_sentences_one(one: str, other: str) -> None:
    if normalise(one) == normalise(other) and not has_invisible(one) and not has_invisible(other):
        assert unicodedata.normalize("NFC", " ".join(one.split())) == unicodedata.normalize(
            "NFC", " ".join(other.split())
        )
