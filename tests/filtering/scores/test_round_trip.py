from pathlib import Path

import polars as pl
import pytest
import sacrebleu

from mmclip.config.filtering import Thresholds
from mmclip.errors import UserError
from mmclip.filtering.files import filter_files
from mmclip.filtering.scores.round_trip import bleu, chrf

SOURCE = "There is a small left pleural effusion."
BACKS = [SOURCE, "There is a small left effusion.", "The heart is enlarged.", ""]


def test_they_are_sacrebleus_and_fall_with_distance() -> None:
    found = chrf([SOURCE] * 4, BACKS)
    assert found.tolist() == pytest.approx([sacrebleu.sentence_chrf(back, [SOURCE]).score / 100 for back in BACKS])
    assert found[0] == pytest.approx(1) and list(found) == sorted(found, reverse=True)
    assert bleu([SOURCE] * 4, BACKS)[0] == pytest.approx(1)
    assert bleu([SOURCE] * 4, BACKS)[2] < 0.2


def files(folder: Path, back: str) -> tuple[Path, Path, Path]:
    for name, text in (
        ("source", f"study_id,text\n1,{SOURCE}\n"),
        ("translation", "study_id,language,text\n1,spa_Latn,Hay un pequeño derrame pleural izquierdo.\n"),
        ("back", back),
    ):
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder / "source.csv", folder / "translation.csv", folder / "back.csv"


@pytest.mark.parametrize(("back", "reasons"), [(SOURCE, []), ("Nothing of the kind", ["round_trip"])])
def test_texts_translated_back_are_judged_by_it(tmp_path: Path, back: str, reasons: list[str]) -> None:
    source, translation, path = files(tmp_path, f"study_id,language,text\n1,spa_Latn,{back}\n")
    output = tmp_path / "out.parquet"
    filter_files(source, translation, output, back=path)
    row = pl.read_parquet(output).row(0, named=True)
    assert row["reasons"] == reasons and row["kept"] == (not reasons)
    assert 0 <= row["score_chrf"] <= 1 and 0 <= row["score_bleu"] <= 1
    filter_files(source, translation, output, Thresholds(min_chrf=0), back=path)
    assert pl.read_parquet(output)["kept"][0]


@pytest.mark.parametrize("rows", ["", "1,spa_Latn,a\n1,spa_Latn,b\n"])
def test_every_text_must_be_there_once(tmp_path: Path, rows: str) -> None:
    source, translation, path = files(tmp_path, f"study_id,language,text\n{rows}")
    with pytest.raises(UserError, match=r"back\.csv: 1 of spa_Latn"):
        filter_files(source, translation, tmp_path / "out.csv", back=path)
