"""Atomic files: killed, crossed, out of space."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from mmclip.errors import UserError, is_disk_full
from mmclip.tables.files import (
    PRIVATE,
    atomic,
    make_folder,
    make_private_file,
    read_rows,
    read_table,
    read_tables,
    write_json,
    write_table,
    write_text,
)
from mmclip.tables.schema import Table

PAIRS = Table("pairs", {"a": pl.Int64, "b": pl.String}, key=("a",))


def frame(rows: int = 3) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows), "b": ["x"] * rows}, schema=PAIRS.columns)


def start(code: str) -> subprocess.Popen[str]:
    """A Python process that runs the code, and says one line when it is where the test wants it."""
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "ready"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_round_trip(tmp_path: Path) -> None:
    write_table(frame(), tmp_path / "sub" / "t.parquet", PAIRS)
    assert read_table(tmp_path / "sub" / "t.parquet", PAIRS).equals(frame())
    assert names(tmp_path / "sub") == ["t.parquet"]
    write_json({"ä": 1}, tmp_path / "j.json")
    assert (tmp_path / "j.json").read_text() == '{\n "ä": 1\n}\n'


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("usual_umask")
def test_what_is_private_is_so_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_text("old, for all to read")
    with atomic(path, PRIVATE) as temporary:
        assert mode(temporary) == PRIVATE
        temporary.write_text("new")
        frame().write_parquet(temporary)
        assert mode(temporary) == PRIVATE
    assert mode(path) == PRIVATE


@pytest.mark.usefixtures("usual_umask")
def test_modes(tmp_path: Path) -> None:
    write_table(frame(), tmp_path / "t.parquet", PAIRS)
    write_text("text", tmp_path / "private.txt", PRIVATE)
    write_json({}, tmp_path / "private.json", PRIVATE)
    write_text("text", tmp_path / "public.txt")
    write_json({}, tmp_path / "public.json")
    make_private_file(tmp_path / "private.npy")
    assert {file.name: mode(file) for file in tmp_path.iterdir()} == {
        **dict.fromkeys(("t.parquet", "private.txt", "private.json", "private.npy"), 0o600),
        **dict.fromkeys(("public.txt", "public.json"), 0o644),
    }
    make_folder(tmp_path / "private", private=True)
    make_folder(tmp_path / "public")
    assert (mode(tmp_path / "private"), mode(tmp_path / "public")) == (0o700, 0o755)


def test_a_private_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("content")
    make_private_file(tmp_path / "store")
    assert (tmp_path / "store").read_text() == "content"


def test_shards_in_order(tmp_path: Path) -> None:
    write_table(frame(2), tmp_path / "1.parquet", PAIRS)
    write_table(frame(3), tmp_path / "0.parquet", PAIRS)
    assert read_tables([tmp_path / "1.parquet", tmp_path / "0.parquet"], PAIRS)["a"].to_list() == [0, 1, 0, 1, 2]
    assert read_tables([], PAIRS).columns == ["a", "b"]


def test_unreadable_tables_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_text("not Parquet")
    for name, message in (("missing.parquet", "no such file"), ("no.parquet", "cannot be read as Parquet")):
        with pytest.raises(UserError, match=message) as error:
            read_table(tmp_path / name, PAIRS)
        assert "\n" not in str(error.value)


def test_some_columns_of_some_rows(tmp_path: Path) -> None:
    path = tmp_path / "a [1].parquet"
    write_table(frame(), path, PAIRS)
    assert read_rows(path, PAIRS, ["b"]).rows() == [("x",)] * 3
    assert read_rows(path, PAIRS, ["b", "a"], pl.col("a") > 1).rows() == [("x", 2)]
    pl.DataFrame({"a": [1, 1]}).write_parquet(path)
    with pytest.raises(UserError, match=r"a \[1\]\.parquet \(pairs\): a \(1,\) occurs more than once"):
        read_rows(path, PAIRS, ["a"])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_rows(path, PAIRS, ["a", "b"])
    with pytest.raises(UserError, match="no such file; expected the pairs table"):
        read_rows(tmp_path / "none.parquet", PAIRS, ["a"])


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    write_text("old", path)
    with pytest.raises(ValueError, match="no"), atomic(path) as temporary:
        temporary.write_text("new")
        raise ValueError("no")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["t.txt"]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic(tmp_path / "f") as temporary:
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep" / content).write_text(content)
    assert names(tmp_path) == ["f"]
    assert names(tmp_path / "f" / "deep") == ["new"]


WRITE = """
    import sys, time
    from pathlib import Path
    from mmclip.tables.files import atomic
    with atomic(Path({path!r})) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        time.sleep({seconds})
"""


def test_a_killed_process_leaves_the_old_file_and_the_next_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    write_text("old", path)
    child = start(WRITE.format(path=str(path), seconds=60))
    kill(child)
    assert path.read_text() == "old"
    leftover = f".t.txt.{socket.gethostname()}.{child.pid}.tmp"
    assert leftover in names(tmp_path)
    write_text("new", path)
    assert path.read_text() == "new"
    assert names(tmp_path) == ["t.txt"]


def test_leftovers_of_the_living_and_of_others_stay(tmp_path: Path) -> None:
    host = socket.gethostname()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    keep = {
        f".t.txt.{host}.{living.pid}.tmp",  # still writes
        f".t.txt.elsewhere.{ended.pid}.tmp",  # another host's process
        f".other.txt.{host}.{ended.pid}.tmp",  # of another output
        f".t.txt.{host}.more.{ended.pid}.tmp",  # of an output with a longer name
    }
    gone = {f".t.txt.{host}.{ended.pid}.tmp", f".t.txt.{host}.{ended.pid}.old.tmp"}
    for name in keep | gone:
        (tmp_path / name).write_text("x")
    write_text("new", tmp_path / "t.txt")
    living.communicate(b"\n")
    assert set(names(tmp_path)) == keep | {"t.txt"}


def test_a_second_writer_waits(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    child = start(WRITE.format(path=str(path), seconds=1.5))
    begun = time.monotonic()
    write_text("second", path)
    assert time.monotonic() - begun > 0.5
    child.wait()
    assert path.read_text() == "second"
    assert names(tmp_path) == ["t.txt"]


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    code = """
        import sys
        from mmclip.tables.files import write_text
        print("ready", flush=True)
        for _ in range(40):
            write_text(sys.argv[1] * 1000, sys.argv[2])
    """
    path = tmp_path / "t.txt"
    children = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), letter, str(path)], stdout=subprocess.DEVNULL)
        for letter in "abcd"
    ]
    seen = set()
    while any(child.poll() is None for child in children):
        if path.exists():
            seen.add(path.read_text())
    assert [child.returncode for child in children] == [0] * 4
    assert seen <= {letter * 1000 for letter in "abcd"}
    assert names(tmp_path) == ["t.txt"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one mebibyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.needs("root")
def test_full_disk(small_disk: Path) -> None:
    path = small_disk / "t.txt"
    write_text("old", path)
    with pytest.raises(UserError, match=r"t\.txt: cannot write it \(No space left on device\)"):
        write_text("x" * 2**21, path)
    table = pl.DataFrame({"a": range(10**6), "b": [os.urandom(8).hex() for _ in range(10**6)]}, schema=PAIRS.columns)
    with pytest.raises(UserError, match=r"t\.parquet: cannot write it \(No space left on device\)"):
        write_table(table, small_disk / "t.parquet", PAIRS)
    assert path.read_text() == "old"
    assert names(small_disk) == ["t.txt"]


@pytest.mark.needs("root")
def test_full_disk_inside_a_folder(small_disk: Path) -> None:
    from safetensors.torch import save_file
    from torch import zeros

    with pytest.raises(UserError, match="No space left on device"), atomic(small_disk / "model") as folder:
        folder.mkdir()
        save_file({"w": zeros(2**20)}, folder / "model.safetensors")
    assert names(small_disk) == []


def test_what_is_a_full_disk() -> None:
    assert is_disk_full(OSError(28, "x"))
    assert is_disk_full(ValueError("IO error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(13, "Permission denied"))


def test_a_folder_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write it") as error:
        write_text("x", tmp_path / "file" / "t.txt")
    assert "\n" not in str(error.value)
