"""Tables of published data sets as rows of strings."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mmclip.errors import UserError
from mmclip.ingest.files import read_rows, require_file, require_folder, states_by_name
from mmclip.ingest.records import Terms

TERMS = Terms("CC0", "https://example.org", "public")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_cells_are_strings(tmp_path: Path, pack: object) -> None:
    path = tmp_path / ("table.csv" if pack is bytes else "table.csv.gz")
    text = '\ufeffid, Name \r\n1,"two\r\nlines"\r\n\r\n2,NA\r\n3, nan \r\n'
    path.write_bytes(pack(text.encode()))  # type: ignore[operator]
    rows = list(read_rows(path, ("id", "Name"), TERMS))
    assert rows == [{"id": "1", "Name": "two\r\nlines"}, {"id": "2", "Name": "NA"}, {"id": "3", "Name": "nan"}]


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("id,text\n1,épica\n".encode() + "2,épica\n".encode("latin-1"))
    assert [row["text"] for row in read_rows(path, ("text",), TERMS)] == ["épica", "épica"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"column 'id' is missing"),
        (b"name\nx\n", r"column 'id' is missing; it has name; expected the file of https://example"),
        (b'"na\nme",x\n1,2\n', r"column 'id' is missing; it has na me, x;"),
        (b"id,text\n1\n", r"line 2 has 1 fields, the first line 2; the file is not whole"),
        (b'id,text\n1,"open\n', r"cannot be read to its end .*get it again from https://example"),
    ],
)
def test_what_is_not_whole(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as told:
        list(read_rows(path, ("id",), TERMS))
    assert "\n" not in str(told.value)


def test_packed_files_that_are_cut_or_not_packed(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    whole = gzip.compress(b"id\n" + b"".join(b"%d\n" % (k * k) for k in range(5000)))
    for data in (whole[:-1000], whole[:5], b"id\n1\n", whole[:50] + b"\0" * 50 + whole[100:]):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"table\.csv\.gz: cannot be read to its end"):
            list(read_rows(path, ("id",), TERMS))


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "old-labels.csv").write_text("")
    with pytest.raises(
        UserError, match=r"set-2-labels\.csv\.gz: no such file \(found old-labels\.csv: another version\?\)"
    ):
        require_file(tmp_path, "set-2-labels.csv.gz", TERMS)
    with pytest.raises(UserError, match=r"files: no such folder; it comes from https://example\.org"):
        require_folder(tmp_path, "files", TERMS)


def test_states_by_name() -> None:
    row = {"Edema": "-1.0", "Fracture": "", "Airspace Opacity": "0", "Age": "7"}
    found = states_by_name(row, Path("t.csv"))
    assert found == {"Edema": -1, "Fracture": None, "Lung Opacity": 0}
    with pytest.raises(UserError, match=r"t\.csv: Edema: found '2'; a label is 1, 0, -1 or empty"):
        states_by_name({"Edema": "2"}, Path("t.csv"))


def test_an_observations_own_name_comes_before_its_synonym() -> None:
    assert states_by_name({"Airspace Opacity": "1", "Lung Opacity": ""}, Path("t.csv")) == {"Lung Opacity": None}
