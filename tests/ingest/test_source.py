"""The user's table as strings."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.errors import UserError
from mmclip.ingest.source import BROKEN, LINE, read_source


def read(path: Path, columns: dict[str, str], separator: str | None = None, encoding: str = "utf-8") -> pl.DataFrame:
    return read_source(path, columns, separator, encoding)


def test_cells_stay_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes('\ufeffid,text,v\r\n1,"a\r\nb, ""q""",NA\r\n\r\n02,- dash,\r\n3,null,1.0\r\n'.encode())
    frame = read(file, {"id": "id", "text": "text", "view": "v"})
    assert frame.rows() == [(2, "1", 'a\r\nb, "q"', "NA"), (5, "02", "- dash", ""), (6, "3", "null", "1.0")]


def test_tsv_other_separators_and_latin_1(tmp_path: Path) -> None:
    tsv, csv = tmp_path / "a.tsv", tmp_path / "a.csv"
    tsv.write_text("id\ttext\n1\ta,b\n", encoding="utf-8")
    csv.write_bytes("id;text\n1;Größe\n".encode("latin-1"))
    assert read(tsv, {"text": "text"})["text"].to_list() == ["a,b"]
    assert read(csv, {"text": "text"}, ";", "latin-1")["text"].to_list() == ["Größe"]


def test_bytes_of_another_encoding_are_marked(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"id,text\n1,caf\xc3\xa9\n2,caf\xe9\n")
    assert [BROKEN in text for text in read(file, {"text": "text"})["text"]] == [False, True]


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pl.DataFrame({"id": [7, 8], "text": ["NA", None], "other": [1, 2]}).write_parquet(file)
    assert read(file, {"id": "id", "text": "text"}).rows() == [(1, "7", "NA"), (2, "8", "")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"study,text\n1,a\n", r"a\.csv: column 'id' is missing; columns: study, text; set columns\.id"),
        ("a.csv", b"", r"column 'id' is missing; columns: none: the file is empty"),
        ("a.csv", b"id,id\n1,2\n", r"column 'id' occurs 2 times"),
        ("a.csv", b"id,text\n1,a\n2\n", r"line 3 has 1 fields, the first line 2"),
        ("a.csv", b'id,text\n1,"a\nb"\n2,"secret finding\n3,b\n', r"record at line 4 is broken"),
        ("a.csv", "id\n1\n".encode("utf-16"), r"not utf-8 text; save it as UTF-8"),
        ("a.txt", b"id\n1\n", r"ending '\.txt' is not \.csv, \.tsv or \.parquet"),
        ("a.parquet", b"id,text\n1,a\n", r"cannot be read as a Parquet table"),
    ],
)
def test_what_is_wrong_is_said_without_report_text(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / name, {"id": "id"})
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.csv: no such file"):
        read(tmp_path / "gone.csv", {"id": "id"})


CELL = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8) | st.sampled_from(["NA", "a\nb", '"', ","])


@given(rows=st.lists(st.tuples(st.text("abc1", min_size=1, max_size=4), CELL), max_size=20))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    file = tmp_path_factory.mktemp("round") / "a.csv"
    quoted = ["".join(('"', value.replace('"', '""'), '"')) for _, value in rows]
    lines = ["id,text", *(f"{key},{value}" for (key, _), value in zip(rows, quoted, strict=True))]
    file.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert read(file, {"id": "id", "text": "text"}).drop(LINE).rows() == rows
