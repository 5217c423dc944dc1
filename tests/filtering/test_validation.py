import csv
import json
import math
import stat
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from mmclip.config.filtering import Validation
from mmclip.errors import UserError
from mmclip.filtering.agreement import agreement, measure_agreement, weighted_kappa, wilson
from mmclip.filtering.validation import validate
from mmclip.tables.files import read_table, write_table
from mmclip.tables.filtering import SAMPLE
from mmclip.tables.translation import SCORED
from tests.filtering.builders import sentences


def scored(path: Path, n: int, rejected: int, translation: str = "Sin derrame.", engine: str = "memory") -> Path:
    rows = [(f"s{number // 3:05d}", number % 3, f"Source {number}.", translation) for number in range(n)]
    table = sentences(rows, engine).with_columns(
        kept=pl.Series([number >= rejected for number in range(n)]),
        reasons=pl.Series([[] if number >= rejected else ["copy"] for number in range(n)], dtype=pl.List(pl.String)),
        score_copy=pl.lit(0.5, dtype=pl.Float32),
    )
    write_table(table, path, SCORED)
    return path


@pytest.fixture
def shards(tmp_path: Path) -> dict[str, list[Path]]:
    return {
        "spa_Latn": [scored(tmp_path / "s0", 900, 150), scored(tmp_path / "s1", 100, 0)][:1],
        "arb_Arab": [scored(tmp_path / "a0", 301, 1, "لا يوجد انصباب.")],
        "eng_Latn": [scored(tmp_path / "e0", 100, 0, engine="source")],
    }


def test_one_percent_of_kept_and_of_rejected_in_each_language(shards: dict[str, list[Path]], tmp_path: Path) -> None:
    assert validate(Validation(), shards, tmp_path / "out", seed=1) == {"items": 14, "kept": 11}
    sample = read_table(tmp_path / "out" / "sample.parquet", SAMPLE)
    counts = {row[:2]: row[2] for row in sample.group_by("language", "kept").len().rows()}
    assert counts == {
        ("spa_Latn", True): math.ceil(7.5),
        ("spa_Latn", False): math.ceil(1.5),
        ("arb_Arab", True): 3,
        ("arb_Arab", False): 1,
    }
    row = sample.filter(pl.col("index") == 1).row(0, named=True)
    number = int(row["source"].split()[1].rstrip("."))
    assert (row["before"], row["after"]) == (f"Source {number - 1}.", f"Source {number + 1}.")


def test_the_sample_has_bounds(shards: dict[str, list[Path]], tmp_path: Path) -> None:
    summary = validate(Validation(minimum=2, maximum=5), shards, tmp_path / "out", seed=1)
    assert summary == {"items": 5 + 2 + 3 + 1, "kept": 5 + 3}


def test_the_sample_depends_on_the_seed_alone(shards: dict[str, list[Path]], tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        validate(Validation(), shards, tmp_path / name, seed)
    for file in ("sample.parquet", "sheet.csv", "sheet.html"):
        one, two, three = ((tmp_path / name / file).read_bytes() for name in ("one", "two", "three"))
        assert one == two != three


def test_the_sheets_are_private_blind_and_self_contained(shards: dict[str, list[Path]], tmp_path: Path) -> None:
    validate(Validation(), shards, tmp_path / "out", seed=1)
    for file in (tmp_path / "out").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    html = (tmp_path / "out" / "sheet.html").read_text()
    assert "copy" not in html.replace("copy;", "")
    assert "s000" not in html and "kept" not in html.lower().replace("may be kept", "")
    assert "http://" not in html and "https://" not in html and " src=" not in html
    assert 'dir="rtl"' in html
    rows = list(csv.DictReader((tmp_path / "out" / "sheet.csv").open()))
    assert len(rows) == 14
    assert set(rows[0]) == {
        *("item", "language", "before", "source", "after", "translation"),
        *("judge", "accuracy", "fluency", "consistency", "comment"),
    }


def test_markup_and_formulas_in_a_report_stay_text(tmp_path: Path) -> None:
    path = scored(tmp_path / "s", 3, 0, "<script>alert(1)</script>")
    formula = read_table(path, SCORED).with_columns(source=pl.lit("=1+1"))
    write_table(formula, path, SCORED)
    validate(Validation(share=1), {"spa_Latn": [path]}, tmp_path / "out", seed=0)
    assert "<script>alert" not in (tmp_path / "out" / "sheet.html").read_text()
    assert next(csv.DictReader((tmp_path / "out" / "sheet.csv").open()))["source"] == "'=1+1"


def judged(path: Path, rows: list[str]) -> Path:
    path.write_text("item,judge,accuracy,fluency,consistency\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_marks_give_agreement(shards: dict[str, list[Path]], tmp_path: Path) -> None:
    validate(Validation(), shards, tmp_path / "out", seed=1)
    sample = read_table(tmp_path / "out" / "sample.parquet", SAMPLE)
    first = [f"{row['item']},ana,{5 if row['kept'] else 1},4,4" for row in sample.iter_rows(named=True)]
    second = [f"{row['item']},bo,{4 if row['kept'] else 2},4,4" for row in sample.iter_rows(named=True)]
    blank = f"{sample['item'][0]},bo,,,"
    files = [judged(tmp_path / "ana.csv", first), judged(tmp_path / "bo.csv", [blank, *second[1:]])]
    output = tmp_path / "agreement.json"
    summary = measure_agreement(Validation(), tmp_path / "out" / "sample.parquet", files, output)
    assert summary == {"items": 14, "judged": 14, "judges": 2}
    report = json.loads(output.read_text())
    assert report["judges"] == ["ana", "bo"]
    assert report["overall"]["precision"]["value"] == 1
    assert report["overall"]["precision"]["n"] == 3
    assert report["overall"]["kept_good"]["value"] == 1
    accuracy = next(row for row in report["kappa"] if row["criterion"] == "accuracy")
    assert 0.5 < accuracy["weighted_kappa"] < 1
    assert next(row for row in report["kappa"] if row["criterion"] == "fluency")["weighted_kappa"] is None
    assert {row["language"] for row in report["by_language"]} == {"spa_Latn", "arb_Arab"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("spa_Latn-99999,ana,5,5,5", "row 2: item 'spa_Latn-99999' is not in this sample"),
        ("spa_Latn-00001,ana,6,5,5", "row 2: accuracy is '6'"),
        ("spa_Latn-00001,ana,5,good,5", "row 2: fluency is 'good'"),
        ("spa_Latn-00001,ana,5,5,5\nspa_Latn-00001,ana,5,5,5", "judged twice by 'ana'"),
    ],
)
def test_wrong_marks_are_named(shards: dict[str, list[Path]], tmp_path: Path, row: str, message: str) -> None:
    validate(Validation(), shards, tmp_path / "out", 1)
    marks = [judged(tmp_path / "x.csv", [row])]
    with pytest.raises(UserError, match=message):
        measure_agreement(Validation(), tmp_path / "out" / "sample.parquet", marks, tmp_path / "agreement.json")


def test_a_bad_translation_is_one_whose_worst_criterion_is_bad() -> None:
    sample = pl.DataFrame({"item": ["x", "y"], "language": ["spa_Latn"] * 2, "kept": [False, True]})
    marks = pl.DataFrame(
        {"item": ["x", "y"], "judge": "ana", "accuracy": [1, 5], "fluency": [5, 5], "consistency": [5, 4]}
    )
    overall = agreement(sample, marks, bad_below=3)["overall"]
    assert overall["precision"]["value"] == overall["kept_good"]["value"] == 1


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=30))
def test_weighted_kappa_equals_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    first, second = (list(values) for values in zip(*pairs, strict=True))
    ours = weighted_kappa(first, second)
    if ours is None:
        assert len(set(first) | set(second)) == 1
    else:
        theirs = cohen_kappa_score(first, second, labels=[1, 2, 3, 4, 5], weights="quadratic")
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_wilsons_interval() -> None:
    assert wilson(0, 0) == (0, 1)
    low, high = wilson(9, 10)  # Wilson 1927 as tabulated: 0.5958 to 0.9821
    assert (low, high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_bounds_lie_at_the_normal_quantile(counts: tuple[int, int]) -> None:
    hits, n = counts
    for bound in wilson(hits, n):
        if 1e-9 < bound < 1 - 1e-9:
            assert abs(hits / n - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / n), rel=1e-6)
