import pytest

from mmclip.filtering.pairs import Pairs
from mmclip.filtering.scores.length import SLACK, content, ends, kept_end, length_ratio
from mmclip.languages import TARGETS


@pytest.mark.parametrize(("text", "n"), [("", 0), (" . ", 0), ("—", 0), ("Sin 2", 4), ("胸水。", 2), ("فشار", 4)])
def test_content_counts_letters_and_digits(text: str, n: int) -> None:
    assert content(Pairs(["x"], [text], "eng_Latn", "spa_Latn"))[0] == n


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sin derrame.", True),
        ("Sin derrame", False),
        ("胸水なし。", True),
        ("胸水なし", False),
        ("कोई बहाव नहीं।", True),
        ("هل هناك انصباب؟", True),
        ("(Sin derrame.)", True),
        ("«Sin derrame.»", True),
        ("Sin derrame,", False),
        ("", False),
    ],
)
def test_ends(text: str, expected: bool) -> None:
    assert ends(text) is expected


def test_the_end_counts_only_where_the_source_has_one() -> None:
    pairs = Pairs(["No effusion.", "No effusion", "No."], ["Sin", "Sin derrame", "No."], "eng_Latn", "spa_Latn")
    assert kept_end(pairs).tolist() == [0, 1, 1]


@pytest.mark.parametrize("language", TARGETS)
def test_the_ratio_halves_with_half_the_translation(language: str) -> None:
    source = "There is no pleural effusion."
    whole, half = length_ratio(Pairs([source] * 2, ["文" * 20, "文" * 10], "eng_Latn", language))
    assert half == pytest.approx(whole * (10 + SLACK) / (20 + SLACK))


def test_a_chinese_translation_is_a_third_as_long() -> None:
    pairs = Pairs(["There is no pleural effusion.", "."], ["未见胸腔积液。", "未见胸腔积液。"], "eng_Latn", "zho_Hans")
    typical, out_of_nothing = length_ratio(pairs)
    assert 0.6 < typical < 1.4
    assert out_of_nothing > 5


def test_two_characters_may_say_what_takes_two_words() -> None:
    pairs = Pairs(["Pleural effusion."] * 2, ["胸水。", ""], "eng_Latn", "jpn_Jpan")
    effusion, nothing = length_ratio(pairs)
    assert effusion > 0.4
    assert nothing < 0.25
