"""Text that no report should hold: it is scored in time, rejected or kept for a reason, and never ends the stage."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest

from mmclip.config.filtering import Filtering
from mmclip.errors import UserError
from mmclip.filtering.files import filter_files
from mmclip.filtering.stage import filter_shard
from mmclip.tables.files import read_table
from mmclip.tables.filtering import CORPUS
from mmclip.tables.translation import SCORED
from tests.filtering.builders import Row, shard


def run(folder: Path, rows: list[Row], language: str = "spa_Latn", **settings: object) -> dict[str, pl.DataFrame]:
    outputs = {name: folder / f"{name}.parquet" for name in ("scored", "corpus", "rejected")}
    chosen = Filtering.model_validate(settings)
    filter_shard(chosen, shard(folder / "in.parquet", rows), language, "filtered", **outputs)
    return {"scored": read_table(outputs["scored"], SCORED), "corpus": read_table(outputs["corpus"], CORPUS)}


def reasons(folder: Path, translation: str, source: str = "There is no pleural effusion.") -> list[str]:
    found: list[str] = run(folder, [("a", 0, source, translation)])["scored"]["reasons"][0].to_list()
    return found


@pytest.mark.parametrize("text", ["no ", "na", "No hay derrame pleural. ", "12 mm, ", "\u202e\u0000"])
def test_a_sentence_of_a_megabyte_is_rejected_in_time(tmp_path: Path, text: str) -> None:
    start = time.process_time()
    assert reasons(tmp_path, text * (1_000_000 // len(text.encode())))
    assert time.process_time() - start < 30


def test_a_megabyte_on_both_sides_is_scored(tmp_path: Path) -> None:
    source, translation = "No pleural effusion is seen. " * 35_000, "No se observa derrame pleural. " * 35_000
    start = time.process_time()
    reasons(tmp_path, translation, source)
    assert time.process_time() - start < 60


def test_control_characters_are_a_fault_and_direction_marks_are_not(tmp_path: Path) -> None:
    assert reasons(tmp_path, "No hay derrame\x00 pleural.") == ["mojibake"]
    assert reasons(tmp_path, "No hay derrame\x1b pleural.") == ["mojibake"]
    assert reasons(tmp_path, "No hay derrame\ufffd pleural.") == ["mojibake"]
    assert reasons(tmp_path, "\u200eNo hay derrame\u00ad pleural.\u200e") == []
    assert run(tmp_path, [("a", 0, "No effusion.", "\u2067لا يوجد انصباب.\u2069")], "arb_Arab")["scored"]["kept"][0]


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "source.csv").write_bytes(b"study_id,text\n1,No effusion\xff\xfe\n")
    (tmp_path / "translation.csv").write_text("study_id,language,text\n1,spa_Latn,Sin derrame\n")
    with pytest.raises(UserError, match=r"source\.csv: cannot be read as csv; save it as UTF-8"):
        filter_files(tmp_path / "source.csv", tmp_path / "translation.csv", tmp_path / "out.csv")


ROWS: list[Row] = [
    ("a", 0, "There is no pleural effusion.", "No hay derrame pleural."),
    ("a", 1, "There is no pneumothorax.", "Hay un neumotórax."),
    ("a", 2, "The heart size is normal.", "El tamaño del corazón es normal."),
]


def test_a_rejected_sentence_drops_or_falls_back_on_its_source(tmp_path: Path) -> None:
    dropped = run(tmp_path, ROWS)["corpus"].row(0, named=True)
    assert dropped["text"] == "No hay derrame pleural. El tamaño del corazón es normal."
    assert (dropped["indices"], dropped["reasons"]) == ([0, 2], ["negation"])
    kept = run(tmp_path, ROWS, rejected_sentences="source")["corpus"].row(0, named=True)
    assert kept["text"] == "No hay derrame pleural. There is no pneumothorax. El tamaño del corazón es normal."
    assert (kept["indices"], kept["reasons"]) == ([0, 1, 2], ["negation"])
    assert kept["sentences"][1] == ROWS[1][2]


def test_a_text_of_which_too_little_is_kept_goes_either_way(tmp_path: Path) -> None:
    for fate in ("drop", "source"):
        assert run(tmp_path, ROWS[1:2], rejected_sentences=fate)["corpus"].is_empty()
