"""Two engines side by side: what is kept, where they agree, what it costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.translation.compare import compare_engines, format_comparison, numbers, same_numbers, sample
from mmclip.translation.engine import Translated

SENTENCES = ["No effusion.", "A nodule of 9 mm.", "Left edema."]
ONE = [Translated("Sin derrame."), Translated("Un nódulo de 9 mm."), Translated("Edema izquierdo.")]
TWO = [Translated("Derrame."), Translated("Un nódulo de 6 mm."), Translated("", ("empty",))]


def test_known_answers() -> None:
    def said_no(sources: list[str], translations: list[str], source: str, target: str) -> list[bool | None]:
        assert (source, target) == ("eng_Latn", "spa_Latn")
        return ["Sin" in text if "No " in one else None for one, text in zip(sources, translations, strict=True)]

    checks = {"numbers": same_numbers, "negation": said_no}
    found = compare_engines(["a", "b"], SENTENCES, [ONE, TWO], [2.0, 0.5], "eng_Latn", "spa_Latn", checks)
    assert found["same"] == 0.0
    assert 0 < found["chrf"] < 100
    one, two = found["engines"]["a"], found["engines"]["b"]
    assert one["kept"] == {"numbers": {"share": 1.0, "of": 1}, "negation": {"share": 1.0, "of": 1}}
    assert two["kept"] == {"numbers": {"share": 0.0, "of": 1}, "negation": {"share": 0.0, "of": 1}}
    assert (one["sentences_per_second"], two["sentences_per_second"]) == (1.5, 6.0)
    assert two["hours_per_million"] == pytest.approx(0.5 / 3 * 1e6 / 3600, abs=0.01)
    assert (one["flags"], two["flags"]) == ({}, {"empty": 1})
    table = format_comparison(found).splitlines()
    assert table[0].startswith("3 distinct sentences into spa_Latn (numbers 1, negation 1): 0.0% translated the same")
    assert table[2].split() == ["numbers", "kept", "1.000", "0.000"]


def test_an_engine_agrees_with_itself() -> None:
    found = compare_engines(["a", "b"], SENTENCES, [ONE, ONE], [1.0, 1.0], "eng_Latn", "spa_Latn")
    assert (found["same"], found["chrf"]) == (1.0, 100.0)


def test_nothing_to_compare() -> None:
    found = compare_engines(["a", "b"], [], [[], []], [0.0, 0.0], "eng_Latn", "spa_Latn")
    assert "numbers kept" in format_comparison(found)


def test_digits_of_any_script() -> None:
    assert numbers("٢ و ५ 10") == numbers("10, 5 2")
    assert same_numbers(["2 cm", "clear"], ["٢ سم", "2"], "eng_Latn", "arb_Arab") == [True, False]


@given(st.lists(st.text(max_size=5), unique=True), st.integers(0, 10))
def test_a_sample_stays_drawn_when_sentences_are_added(sentences: list[str], size: int) -> None:
    drawn = sample(sentences, size)
    assert len(drawn) == min(size, len(sentences))
    assert [sentence for sentence in sentences if sentence in drawn] == drawn
    assert set(drawn) <= set(sample([*sentences, "more than five"], size + 1))
