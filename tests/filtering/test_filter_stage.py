import json
from pathlib import Path

import polars as pl
import pytest

from mmclip.config.filtering import Filtering
from mmclip.errors import UserError
from mmclip.filtering.measure import measure
from mmclip.filtering.stage import Variant, filter_shard
from mmclip.tables.files import read_table
from mmclip.tables.filtering import CORPUS, REJECTED
from mmclip.tables.translation import SCORED
from tests.filtering.builders import SPANISH, Row, faults, shard


def run(
    folder: Path, rows: list[Row], variant: Variant, language: str = "spa_Latn", known: Path | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    paths = {name: folder / name / "s.parquet" for name in ("scored", "corpus", "rejected")}
    source = shard(folder / "in.parquet", rows)
    filter_shard(Filtering(), source, language, variant, **paths, faults=known)
    return (
        read_table(paths["scored"], SCORED),
        read_table(paths["corpus"], CORPUS),
        read_table(paths["rejected"], REJECTED),
    )


def test_filtered_by_scores(tmp_path: Path) -> None:
    scored, corpus, rejected = run(tmp_path, SPANISH, "filtered")
    assert scored.select("study_id", "index").rows() == [row[:2] for row in SPANISH]
    assert scored["kept"].to_list() == [True, True, False, False, False, True, True, False]
    reasons = scored["reasons"].to_list()
    assert reasons[2] == ["laterality"]
    assert reasons[3] == ["negation"]
    assert {"language", "copy"} <= set(reasons[4])
    assert reasons[7] == ["empty"]
    assert {name for name in scored.columns if name.startswith("score_")} >= {"score_ttr", "score_repetition"}

    assert corpus["study_id"].to_list() == ["a", "c"]
    text = corpus.row(0, named=True)
    assert text["language"] == "spa_Latn"
    assert text["text"] == "No hay derrame pleural. El tamaño del corazón es normal."
    assert text["sentences"] == ["No hay derrame pleural.", "El tamaño del corazón es normal."]
    assert text["indices"] == [0, 1]
    assert text["reasons"] == ["laterality"]

    assert rejected["study_id"].to_list() == ["b", "d"]
    assert rejected["indices"].to_list() == [[0, 1, 2], [0]]
    assert set(rejected["reasons"][0]) >= {"negation", "copy"}


def test_unfiltered_keeps_all_but_the_empty(tmp_path: Path) -> None:
    scored, corpus, rejected = run(tmp_path, SPANISH, "unfiltered")
    assert scored["kept"].to_list() == [True] * 7 + [False]
    assert corpus["study_id"].to_list() == ["a", "b", "c"]
    assert rejected["reasons"].to_list() == [["empty"]]


def test_the_oracle_drops_exactly_the_known_faults(tmp_path: Path) -> None:
    known = faults(
        tmp_path / "faults.parquet",
        [("a", 2, "spa_Latn", "swap_side"), ("b", 0, "spa_Latn", "drop_negation"), ("c", 0, "fra_Latn", "loop")],
    )
    scored, corpus, _ = run(tmp_path, SPANISH, "oracle", known=known)
    assert scored["kept"].to_list() == [True, True, False, False, True, True, True, False]
    assert scored["reasons"][2].to_list() == ["fault_swap_side"]
    assert corpus["study_id"].to_list() == ["a", "b", "c"]


def test_the_source_language_is_not_filtered(tmp_path: Path) -> None:
    rows = [("a", 0, "Edema edema edema edema.", "Edema edema edema edema."), ("b", 0, "x", " ")]
    scored, corpus, rejected = run(tmp_path, rows, "filtered", language="eng_Latn")
    assert scored["kept"].to_list() == [True, False]
    assert corpus["study_id"].to_list() == ["a"]
    assert rejected["study_id"].to_list() == ["b"]


@pytest.mark.parametrize(
    ("language", "text"), [("zho_Hans", "未见气胸。未见积液。"), ("kor_Hang", "기흉 없음. 흉수 없음.")]
)
def test_sentences_are_joined_as_the_language_does(tmp_path: Path, language: str, text: str) -> None:
    parts = ["未见气胸。", "未见积液。"] if language == "zho_Hans" else ["기흉 없음.", "흉수 없음."]
    rows = [("a", number, "No effusion.", part) for number, part in enumerate(parts)]
    _, corpus, _ = run(tmp_path, rows, "unfiltered", language=language)
    assert corpus["text"].to_list() == [text]


def test_engine_flags_reject(tmp_path: Path) -> None:
    source = shard(tmp_path / "in.parquet", SPANISH[:2], flags={0: ["length_limit"], 1: ["no_end"]})
    outputs = {name: tmp_path / f"{name}.parquet" for name in ("scored", "corpus", "rejected")}
    summary = filter_shard(Filtering(), source, "spa_Latn", "filtered", **outputs)
    assert summary == {"sentences": 2, "kept": 0, "texts": 0, "rejected": 1}
    assert read_table(outputs["scored"], SCORED)["reasons"].to_list() == [["truncated"], ["truncated"]]


def test_an_empty_shard_gives_empty_tables(tmp_path: Path) -> None:
    for variant in ("filtered", "unfiltered"):
        assert [table.height for table in run(tmp_path, [], variant)] == [0, 0, 0]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        run(tmp_path / folder, SPANISH, "filtered")
    for name in ("scored", "corpus", "rejected"):
        one, two = (tmp_path / folder / name / "s.parquet" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"oracle.*needs the table"):
        run(tmp_path, SPANISH, "oracle")
    with pytest.raises(UserError, match="variant 'best' is unknown"):
        run(tmp_path, SPANISH, "best")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="spa_Latn"):
        run(tmp_path, SPANISH, "filtered", language="es")


def test_measure_counts_what_was_caught(tmp_path: Path) -> None:
    run(tmp_path, SPANISH, "filtered")
    known = faults(tmp_path / "faults.parquet", [("a", 2, "spa_Latn", "swap_side"), ("a", 0, "spa_Latn", "loop")])
    output = tmp_path / "faults_report.json"
    summary = measure({"spa_Latn": [tmp_path / "scored" / "s.parquet"]}, [known], output)
    assert summary == {"sentences": 8, "faults": 2}
    report = json.loads(output.read_text())
    rows = {row["kind"]: (row["sentences"], row["rejected"], row["share"]) for row in report["by_language"]}
    assert rows == {"swap_side": (1, 1, 1.0), "loop": (1, 0, 0.0), "not_injected": (6, 3, 0.5)}
    assert {row["kind"] for row in report["overall"]} == set(rows)
    assert {"language": "spa_Latn", "reason": "laterality", "sentences": 1} in report["reasons"]
