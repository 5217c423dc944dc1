from pathlib import Path

import polars as pl
import pytest

from mmclip.config.filtering import Thresholds
from mmclip.errors import UserError
from mmclip.filtering.files import filter_files

SOURCE = """study_id,text
1,"No pleural effusion. The heart is normal in size."
2,"There is a 12 mm nodule in the left lung."
3,NA
"""
TRANSLATION = """study_id,language,text
2,spa_Latn,Hay un nódulo de 12 mm en el pulmón izquierdo.
1,spa_Latn,"Sin derrame pleural. El corazón es de tamaño normal."
1,fra_Latn,"Épanchement pleural. Le cœur est de taille normale."
2,zho_Hans,右肺可见12毫米结节。
"""


def write(folder: Path, source: str = SOURCE, translation: str = TRANSLATION) -> tuple[Path, Path]:
    (folder / "source.csv").write_text(source, encoding="utf-8")
    (folder / "translation.csv").write_text(translation, encoding="utf-8")
    return folder / "source.csv", folder / "translation.csv"


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_rows_and_reasons_in_every_format(tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"out.{ending}"
    assert filter_files(*write(tmp_path), output) == {"texts": 4, "kept": 2}
    if ending == "parquet":
        table = pl.read_parquet(output).with_columns(pl.col("reasons").list.join(";"))
    else:
        table = pl.read_csv(
            output, separator="," if ending == "csv" else "\t", schema_overrides={"study_id": pl.String}
        )
    assert table.columns[:4] == ["study_id", "language", "kept", "reasons"]
    assert all(name.startswith("score_") for name in table.columns[4:])
    assert table.select("study_id", "language", "kept").rows() == [
        ("2", "spa_Latn", True),
        ("1", "spa_Latn", True),
        ("1", "fra_Latn", False),
        ("2", "zho_Hans", False),
    ]
    assert table["reasons"].to_list()[2:] == ["negation", "laterality"]


def test_a_fault_in_one_sentence_is_seen_where_sentences_correspond(tmp_path: Path) -> None:
    source = "study_id,text\n1,No effusion is present. There is a pneumothorax on the left.\n"
    translation = "study_id,language,text\n1,spa_Latn,Hay derrame. No hay neumotórax a la izquierda.\n"
    filter_files(*write(tmp_path, source, translation), tmp_path / "out.parquet")
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table["reasons"].to_list() == [["negation"]]
    assert table["score_negation"].to_list() == [0]


def test_texts_with_other_numbers_of_sentences_are_compared_whole(tmp_path: Path) -> None:
    source = "study_id,text\n1,No effusion and no pneumothorax.\n2,No effusion. The heart is normal. Clear lungs.\n"
    translation = "study_id,language,text\n1,spa_Latn,No hay derrame. No hay neumotórax.\n2,spa_Latn,No hay derrame.\n"
    filter_files(*write(tmp_path, source, translation), tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet")["reasons"].to_list() == [[], ["length"]]


def test_the_source_language_is_kept_unless_empty(tmp_path: Path) -> None:
    source = "study_id,text\n1,No effusion.\n2,Edema.\n"
    translation = 'study_id,language,text\n1,eng_Latn,No effusion.\n2,eng_Latn,""\n'
    filter_files(*write(tmp_path, source, translation), tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet")["reasons"].to_list() == [[], ["empty"]]


def test_thresholds_are_the_callers(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    loose = Thresholds(min_negation=0, min_laterality=0)
    assert filter_files(*write(tmp_path), output, loose)["kept"] == 4


@pytest.mark.parametrize(
    ("source", "translation", "message"),
    [
        ("study_id,txt\n1,a\n", TRANSLATION, r"source.csv: column 'text' is missing; it has study_id, txt"),
        (SOURCE, "study_id,language,text\n9,spa_Latn,x\n", "study_id '9' of the translations is missing"),
        (SOURCE, "study_id,language,text\n1,es,x\n", "row 1: language: 'es'.*did you mean spa_Latn"),
        (SOURCE + "1,again\n", TRANSLATION, "study_id '1' occurs more than once"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, source: str, translation: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        filter_files(*write(tmp_path, source, translation), tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_wrong_files_are_named(tmp_path: Path) -> None:
    source, translation = write(tmp_path)
    with pytest.raises(UserError, match=r"ending '.txt' is unknown"):
        filter_files(source, translation, tmp_path / "out.txt")
    with pytest.raises(UserError, match="no such file"):
        filter_files(tmp_path / "none.csv", translation, tmp_path / "out.csv")
    (tmp_path / "latin.csv").write_bytes("study_id,text\n1,neumotórax\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        filter_files(tmp_path / "latin.csv", translation, tmp_path / "out.csv")
