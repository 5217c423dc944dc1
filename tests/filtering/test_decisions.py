import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.config.filtering import Thresholds
from mmclip.filtering.decisions import decide, rules
from mmclip.filtering.scoring import SCORES, score

GOOD = {
    "content": 20.0,
    "ttr": 1.0,
    "ttr_ratio": 1.0,
    "repetition": 1.0,
    "character_loop": 1.0,
    "distinct_ngrams": 1.0,
    "shared_output": 1.0,
    "numbers": 1.0,
    "units": 1.0,
    "laterality": 1.0,
    "negation": 1.0,
    "length_ratio": 1.0,
    "end": 1.0,
    "language": 3.0,
    "script": 1.0,
    "mojibake": 0.0,
    "copy": 0.0,
    "untranslated": 0.0,
}


def reasons(flags: tuple[str, ...] = (), **scores: float) -> list[str]:
    row = {f"score_{name}": value for name, value in {**GOOD, **scores}.items()}
    frame = pl.DataFrame({**{name: [value] for name, value in row.items()}, "flags": [list(flags)]}).cast(
        {"flags": pl.List(pl.String)}
    )
    decided = decide(frame, Thresholds())
    assert decided["kept"][0] == (not decided["reasons"][0].to_list())
    return decided["reasons"][0].to_list()


def test_the_good_row_names_every_score_and_is_kept() -> None:
    assert set(GOOD) == {score.name for score in SCORES}
    assert reasons() == []


@pytest.mark.parametrize(
    ("score", "value", "reason"),
    [
        ("ttr", 0.29, "low_diversity"),
        ("ttr_ratio", 0.59, "low_diversity"),
        ("repetition", 3, "repetition"),
        ("character_loop", 4, "repetition"),
        ("distinct_ngrams", 0.69, "repeated_translation"),
        ("shared_output", 6, "repeated_translation"),
        ("numbers", 0.99, "numbers"),
        ("units", 0.5, "units"),
        ("laterality", 0, "laterality"),
        ("negation", 0, "negation"),
        ("length_ratio", 0.34, "length"),
        ("length_ratio", 2.51, "length"),
        ("language", -6, "language"),
        ("script", 0.49, "script"),
        ("mojibake", 1, "mojibake"),
        ("copy", 0.76, "copy"),
        ("untranslated", 1, "untranslated"),
    ],
)
def test_each_reason_alone(score: str, value: float, reason: str) -> None:
    assert reasons(**{score: value}) == [reason]


def test_all_reasons_are_given() -> None:
    assert reasons(numbers=0.0, negation=0.0, copy=1.0) == ["numbers", "negation", "copy"]


def test_truncation_needs_a_flag_or_a_short_text_without_an_end() -> None:
    assert reasons(end=0.0, length_ratio=1.05) == []
    assert reasons(end=1.0, length_ratio=0.95) == []
    assert reasons(end=0.0, length_ratio=0.95) == ["truncated"]
    assert reasons(flags=("no_end",)) == reasons(flags=("length_limit",)) == ["truncated"]
    assert reasons(flags=("copy",)) == []


def test_an_empty_translation_has_one_reason() -> None:
    assert reasons(content=0.0, numbers=0.0, length_ratio=0.0) == ["empty"]


@given(st.sampled_from(sorted(GOOD)), st.floats(-6, 30, width=32))
def test_stricter_thresholds_never_keep_more(name: str, value: float) -> None:
    row = {f"score_{key}": [known] for key, known in {**GOOD, name: value}.items()}
    frame = pl.DataFrame({**row, "flags": [[]]}).cast({"flags": pl.List(pl.String)})
    strict = {
        key: bound + (1 if key.startswith("min") else -1) * 0.1
        for key, bound in Thresholds().model_dump().items()
        if isinstance(bound, float)
    }
    if decide(frame, Thresholds(**strict))["kept"][0]:
        assert decide(frame, Thresholds())["kept"][0]


def test_thresholds_change_without_scoring_again() -> None:
    frame = pl.DataFrame({"source": ["A 12 mm nodule."], "translation": ["Un nódulo de 21 mm."]})
    scored = score(frame, "eng_Latn", "spa_Latn").with_columns(flags=pl.lit([], dtype=pl.List(pl.String)))
    assert decide(scored, Thresholds())["reasons"][0].to_list() == ["numbers"]
    assert decide(scored, Thresholds(min_numbers=0))["kept"][0]


def test_scores_are_finite_for_any_text() -> None:
    odd = ["", " ", ".", "\ufffd", "🫁", "1", "a" * 3000, "א", "\x00", "۔", "no " * 400, "'\"<b>"]
    frame = pl.DataFrame({"source": odd, "translation": odd[::-1]})
    for language in ("spa_Latn", "jpn_Jpan", "arb_Arab", "tur_Latn"):
        scored = score(frame, "eng_Latn", language)
        values = scored.select(pl.col("^score_.*$"))
        assert values.null_count().sum_horizontal()[0] == 0
        assert values.select(pl.all().is_finite().all()).row(0) == (True,) * len(SCORES)


def test_every_reason_has_one_rule() -> None:
    assert len(rules(Thresholds())) == 16
