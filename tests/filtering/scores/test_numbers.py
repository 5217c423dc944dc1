from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.numbers import kept_numbers, kept_units, numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.5 cm", ["2.5"]),
        ("2,50 cm", ["2.5"]),
        ("٢٫٥ سم", ["2.5"]),
        ("۲٫۵ سانتی‌متر", ["2.5"]),
        ("२.५ सेमी", ["2.5"]),
        ("２．５ｃｍ", ["2.5"]),
        ("12 mm", ["12"]),
        ("١٢ ملم", ["12"]),
        ("1,000 ml", ["1000"]),
        ("1.000 ml", ["1000"]),
        ("1\u202f000 ml", ["1000"]),
        ("0.125", ["0.125"]),
        ("0,125", ["0.125"]),
        ("03/12/2020", ["3", "12", "2020"]),
        ("12.03.2020", ["12", "3", "2020"]),
        ("T1-T2", ["1", "2"]),
        ("4.", ["4"]),
        ("none", []),
    ],
)
def test_numbers_of_every_script_have_one_form(text: str, expected: list[str]) -> None:
    assert numbers(text) == Counter(expected)


@given(st.integers(0, 99), st.integers(0, 99), st.sampled_from(["٠٢٤", "۰۲۴", "०२४"]))
def test_digits_and_decimal_marks_do_not_matter(whole: int, tenths: int, script: str) -> None:
    zero = ord(script[0])
    ascii_form = f"{whole}.{tenths:02d}"
    other = "".join(chr(zero + int(char)) if char.isdigit() else "٫" for char in ascii_form)
    assert numbers(ascii_form) == numbers(other) == numbers(ascii_form.replace(".", ","))


@pytest.mark.parametrize(
    ("source", "language", "translation", "score"),
    [
        ("A 12 mm nodule.", "spa_Latn", "Un nódulo de 12 mm.", 1.0),
        ("A 12 mm nodule.", "spa_Latn", "Un nódulo de 21 mm.", 0.0),
        ("A 12 mm nodule.", "spa_Latn", "Un nódulo.", 0.0),
        ("A nodule.", "spa_Latn", "Un nódulo de 12 mm.", 0.0),
        ("2.5 cm above the carina.", "deu_Latn", "2,5 cm oberhalb der Carina.", 1.0),
        ("2.5 cm above the carina.", "deu_Latn", "25 cm oberhalb der Carina.", 0.0),
        ("2.5 x 3.1 cm mass.", "fra_Latn", "Masse de 2,5 x 3,7 cm.", 1 / 3),
        ("2.5 cm above the carina.", "arb_Arab", "على بعد ٢٫٥ سم فوق الجؤجؤ.", 1.0),
        ("2.5 cm above the carina.", "pes_Arab", "۲٫۵ سانتی‌متر بالای کارینا.", 1.0),
        ("2.5 cm above the carina.", "hin_Deva", "कैरिना से २.५ सेमी ऊपर।", 1.0),
        ("Fracture of the 7th rib.", "spa_Latn", "Fractura de la séptima costilla.", 1.0),
        ("Fracture of the seventh rib.", "deu_Latn", "Fraktur der 7. Rippe.", 1.0),
        ("Fracture of the 7th rib.", "spa_Latn", "Fractura de la octava costilla.", 0.0),
        ("Two views.", "zho_Hans", "2个视图。", 1.0),
        ("No effusion.", "spa_Latn", "Sin derrame.", 1.0),
    ],
)
def test_kept_numbers(source: str, language: str, translation: str, score: float) -> None:
    assert kept_numbers(Pairs([source], [translation], "eng_Latn", language))[0] == pytest.approx(score)


@pytest.mark.parametrize(
    ("source", "language", "translation", "score"),
    [
        ("A 12 mm nodule.", "rus_Cyrl", "Узел 12 мм.", 1.0),
        ("A 12 mm nodule.", "rus_Cyrl", "Узел 12 см.", 0.0),
        ("A 12 mm nodule.", "spa_Latn", "Un nódulo de 12 milímetros.", 1.0),
        ("A 12-mm nodule.", "fra_Latn", "Un nodule de 12 cm.", 0.0),
        ("A 12 mm nodule.", "zho_Hans", "12毫米结节。", 1.0),
        ("A 12 mm nodule.", "zho_Hans", "12厘米结节。", 0.0),
        ("A 12 mm nodule.", "jpn_Jpan", "12ミリの結節。", 1.0),
        ("A 12 mm nodule.", "kor_Hang", "12밀리미터 결절.", 1.0),
        ("A 2.5 cm nodule.", "arb_Arab", "عقيدة بقياس ٢٫٥ سم.", 1.0),
        ("A 2.5 cm nodule.", "pes_Arab", "ندول ۲٫۵ سانتی‌متری.", 1.0),
        ("A 2.5 cm nodule.", "hin_Deva", "2.5 से.मी. की गांठ।", 1.0),
        ("A 2.5 centimeter nodule.", "spa_Latn", "Un nódulo de 2,5 cm.", 1.0),
        ("3 rib fractures.", "spa_Latn", "3 fracturas costales.", 1.0),
    ],
)
def test_kept_units(source: str, language: str, translation: str, score: float) -> None:
    assert kept_units(Pairs([source], [translation], "eng_Latn", language))[0] == score
