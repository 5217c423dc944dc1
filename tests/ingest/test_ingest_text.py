"""Encodings and characters of report text."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmclip.ingest.text import SIZE_LIMIT, clean, decode, read_report


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("épaississement".encode(), "épaississement"),
        (b"\xef\xbb\xbfFINDINGS", "FINDINGS"),
        ("Größe".encode("latin-1"), "Größe"),
        (b"\x93quoted\x94", "“quoted”"),
        (b"odd \x81 byte", "odd \x81 byte"),
        (b"", ""),
    ],
)
def test_decode(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize("data", ["text".encode("utf-16"), b"a\0b", "ab".encode("utf-16-be")])
def test_what_is_no_text_of_single_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="neither"):
        decode(data)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_bytes(b"a" * (SIZE_LIMIT + 1))
    with pytest.raises(ValueError, match="longer"):
        read_report(tmp_path / "report.txt")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.txt")
    for path in (tmp_path / "report.txt", tmp_path):
        with pytest.raises(ValueError, match="a folder or a pipe"):
            read_report(path)


@pytest.mark.parametrize(
    ("text", "expected", "removed"),
    [
        ("plain\ttext\n", "plain\ttext\n", 0),
        ("a\r\nb\rc\x0cd\x85e", "a\nb\nc\nd\ne", 0),
        ("e\u0301", "é", 0),
        ("a\u202eb\u200fc\x00d\x1be", "abcde", 4),
        ("نیم\u200cفاصله", "نیم\u200cفاصله", 0),
        ("NA", "NA", 0),
    ],
)
def test_clean(text: str, expected: str, removed: int) -> None:
    assert clean(text) == (expected, removed)


@given(st.text())
def test_clean_is_done_once(text: str) -> None:
    once, _ = clean(text)
    assert clean(once) == (once, 0)
