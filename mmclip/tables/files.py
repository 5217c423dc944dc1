"""Atomic files: whoever reads sees the old file or the new one, whatever is killed and when.

A folder is replaced by two renames: killed between them, there is neither, and never a mixture.

What holds report text, pixels or ids is made with the mode :data:`PRIVATE`, so that there is no moment at which others
could open it. All modes are set here.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.errors import UserError, is_disk_full
from mmclip.tables.schema import Table, check

PRIVATE = 0o600
"""Mode of a file that only its owner may read and write."""


@contextlib.contextmanager
def atomic(path: Path | str, mode: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it over `path`.

    The temporary name holds the host and the process id, and all happens under a lock on the output, so that an
    orphaned job and its rerun never mix; what a killed process of this host left there is removed. A directory made
    at the temporary path replaces the old directory.

    Args:
        mode: :data:`PRIVATE`, or another: the temporary file is there from the start, empty, with this mode, for the
            caller to write to. None: the caller makes a file or a folder there.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            for stale in _leftovers(path):
                _remove(stale)
            if mode is not None:
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
            yield temporary
            _sync(temporary)
            _replace(temporary, path)
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not is_disk_full(error):
            raise
        reason = "No space left on device" if is_disk_full(error) else getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot write it ({reason}); free space or choose another folder") from error
    finally:
        _remove(temporary)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of an output file; a second process waits until the first has finished."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        handle = lock.open("w")
        fcntl.flock(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(handle.fileno()).st_ino:
                break
        handle.close()  # whoever held it has removed it: another waiter may hold a new file of that name
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        handle.close()


def _leftovers(path: Path) -> Iterator[Path]:
    """Temporary files of processes of this host that are dead; whoever asks holds the output's lock."""
    prefix = f".{path.name}.{socket.gethostname()}."
    for file in path.parent.glob(f"{glob.escape(prefix)}*.tmp"):
        process = file.name.removeprefix(prefix).partition(".")[0]
        if process.isdecimal() and not Path(f"/proc/{process}").exists():
            yield file


def _sync(path: Path) -> None:
    """Flush a file, or every file of a folder: side by side, so that the file system commits many at once."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(_sync_one, files):
            pass


def _sync_one(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _replace(temporary: Path, path: Path) -> None:
    if temporary.is_dir() and path.exists():
        # A folder cannot be renamed over another that holds files: the old one is put aside, and removed at leisure.
        old = temporary.with_suffix(".old.tmp")
        path.rename(old)
        temporary.rename(path)
        _remove(old)
    else:
        temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def write_table(frame: pl.DataFrame, path: Path | str, table: Table) -> None:
    """Check `frame` against `table` and write it as zstd Parquet, atomically.

    Its rows speak of patients, in words, labels or ids: only its owner may read the file.
    """
    checked = check(frame, table, str(path))
    with atomic(path, PRIVATE) as temporary:
        checked.write_parquet(temporary, compression="zstd")


def read_table(path: Path | str, table: Table) -> pl.DataFrame:
    """Read a Parquet table and check it.

    Raises:
        UserError: the file is missing, no Parquet, or not this table.
    """
    with _reading(path, table):
        frame = pl.read_parquet(path)
    return check(frame, table, str(path))


def read_rows(path: Path | str, table: Table, columns: Sequence[str], where: pl.Expr | bool = True) -> pl.DataFrame:
    """Read some columns of some rows, and check them; the memory of the others is not needed.

    Raises:
        UserError: the file is missing, no Parquet, or lacks one of these columns of this table.
    """
    with _reading(path, table):
        frame = pl.scan_parquet(path, glob=False).filter(where).select(columns).collect()
    return check(frame, table.only(columns), str(path))


@contextlib.contextmanager
def _reading(path: Path | str, table: Table) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected the {table.name} table") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error


def read_tables(paths: list[Path] | list[str] | list[Path | str], table: Table) -> pl.DataFrame:
    """Read several shards of a table, in the order given, as one."""
    if not paths:
        return table.empty()
    return pl.concat([read_table(path, table) for path in paths], how="diagonal")


def write_json(value: Any, path: Path | str, mode: int | None = None) -> None:
    """Write JSON, indented, keys in the order given, atomically; `mode` as of :func:`write_text`."""
    with atomic(path, mode) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_text(text: str, path: Path | str, mode: int | None = None) -> None:
    """Write a text file atomically; `mode` is :data:`PRIVATE` for files that hold report text, else the umask's."""
    with atomic(path, mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


def make_private_file(path: Path) -> None:
    """An empty file that only its owner may read, for a writer that opens it by its path; one that is there stays."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, PRIVATE))


def make_folder(path: Path, private: bool = False) -> None:
    """A new folder; into a private one only its owner may look."""
    path.mkdir(mode=0o700 if private else 0o777)
