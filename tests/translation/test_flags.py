"""Flags that can be told from the texts alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmclip.translation.flags import LOOP_REPEATS, flags_of, has_loop


@pytest.mark.parametrize(
    "sentence, translation, flags",
    [
        ("No effusion.", "Sin derrame.", ()),
        ("No effusion.", "", ("empty",)),
        ("No effusion.", " \n", ("empty",)),
        ("No effusion.", "no  Effusion.", ("copy",)),
        ("Edema.", "Edema.", ()),
        ("10 mm.", "10 mm.", ()),
        ("No effusion.", "Sin derrame derrame derrame derrame derrame.", ("loop",)),
        ("No effusion.", "未见胸腔积液积液积液积液", ("loop",)),
        ("No effusion.", "ははははははは", ()),
        ("No effusion.", "はははははははは", ("loop",)),
        ("Lungs are clear.", "Paru-paru bersih.", ()),
        ("No change.", "Sin cambios..........", ()),
        ("Call 1111111111.", "Llamar al 1111111111.", ()),
        ("Seen by Xxxx Xxxx Xxxx Xxxx today.", "Visto por Xxxx Xxxx Xxxx Xxxx hoy.", ()),
    ],
)
def test_known_answers(sentence: str, translation: str, flags: tuple[str, ...]) -> None:
    assert flags_of(sentence, translation) == flags


@settings(deadline=None)
@given(st.text(), st.text(alphabet="abcdefgh ", min_size=2, max_size=40), st.text())
def test_every_loop_is_found(before: str, unit: str, after: str) -> None:
    if any(map(str.isalpha, unit)):
        assert has_loop(before + unit * LOOP_REPEATS + after)


@settings(deadline=None)
@given(st.text(alphabet="ab", max_size=30))
def test_loop_against_brute_force(text: str) -> None:
    brute = any(
        text[start : start + period] * (length // period) == text[start : start + length]
        for period in range(1, 8)
        for length in range(max(LOOP_REPEATS * period, 8), len(text) + 1)
        if length % period == 0
        for start in range(len(text) - length + 1)
    )
    assert has_loop(text) == brute
