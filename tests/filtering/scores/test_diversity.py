import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.diversity import mattr, ttr, ttr_ratio


def test_a_text_within_the_window_has_the_plain_ratio() -> None:
    assert mattr(["no", "effusion", "no", "edema"]) == 3 / 4
    assert mattr([]) == 0


@given(st.lists(st.sampled_from("abcde"), max_size=40), st.integers(1, 12))
def test_mattr_is_the_mean_over_all_windows(tokens: list[str], window: int) -> None:
    windows = [tokens[start : start + window] for start in range(max(1, len(tokens) - window + 1))]
    brute = np.mean([len(set(part)) / len(part) for part in windows]) if tokens else 0.0
    assert mattr(tokens, window) == pytest.approx(brute, rel=1e-12)


def test_mattr_does_not_fall_with_length_where_the_plain_ratio_does() -> None:
    words = [f"w{number % 60}" for number in range(600)]
    assert mattr(words) == 1
    assert len(set(words)) / len(words) == 0.1


@pytest.mark.parametrize(
    ("language", "translation", "expected"),
    [
        ("spa_Latn", "No hay derrame pleural.", 1.0),
        ("spa_Latn", "derrame derrame derrame derrame", 0.25),
        ("zho_Hans", "左肺左肺", 0.5),
        ("jpn_Jpan", "右肺 CT CT", 3 / 4),
        ("hin_Deva", "दायें फेफड़े में दायें", 0.75),
    ],
)
def test_tokens_are_words_or_characters_by_language(language: str, translation: str, expected: float) -> None:
    assert ttr(Pairs(["No effusion."], [translation], "eng_Latn", language))[0] == expected


def test_the_ratio_is_relative_to_the_source() -> None:
    pairs = Pairs(["very very small", "..."], ["muy muy pequeño", "nada"], "eng_Latn", "spa_Latn")
    assert ttr_ratio(pairs).tolist() == [1.0, 1.0]
