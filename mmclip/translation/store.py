"""The store of translations: each distinct sentence is translated once, whoever asks and whatever is killed.

A row's key is the SHA-256 of the engine's digest, the language pair and the sentence, so another engine, option or
model never finds it. The store is an SQLite file in WAL mode: readers and several writers at once, and a killed process
loses nothing that it has put. Before a job translates sentences it claims them, so that two jobs do not do the same
work; the claim of a dead process, or of one not heard of for :data:`LEASE`, no longer counts. Nothing but speed depends
on claims.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType

from mmclip.errors import UserError
from mmclip.liveness import alive, controller
from mmclip.tables.files import locked, make_private_file
from mmclip.translation.engine import Translated

LEASE = 1800.0
"""Seconds without news after which a claim lapses, even if its process seems alive (of another host nobody can tell).
Each part of the engine's answers that is stored is news; a part takes seconds or minutes."""
_WAIT = 120.0
"""Seconds to wait for another writer's transaction; each takes milliseconds."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text TEXT NOT NULL, flags TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (key BLOB PRIMARY KEY, owner TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID;
"""


def key(digest: str, source: str, target: str, sentence: str) -> bytes:
    """The row of a sentence: 32 bytes. `digest` is :meth:`mmclip.translation.engine.Engine.digest`."""
    return hashlib.sha256("\0".join((digest, source, target, sentence)).encode("utf-8", "surrogatepass")).digest()


class Store:
    """An open store; use it in a ``with`` statement.

    Args:
        path: the SQLite file, made if it is missing, readable by its owner only since it holds report text.
        shared: it lies on a network file system, where WAL is not safe: use a rollback journal.

    Raises:
        UserError: the file cannot be opened, or is no store.
    """

    def __init__(self, path: Path, shared: bool = False) -> None:
        self.path = path
        self._owner = controller()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path):  # two that change the journal's mode at once do not wait for each other, but fail
                make_private_file(path)
                self._database = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
                self._database.execute(f"PRAGMA journal_mode = {'DELETE' if shared else 'WAL'}")
                self._database.execute(f"PRAGMA synchronous = {'FULL' if shared else 'NORMAL'}")
                self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{path}: cannot be used as the store of translations ({error}); move it away") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
        with locked(self.path):  # the last to close puts the journal away
            self._database.close()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Translated]:
        """The translations that are there."""
        found: dict[bytes, Translated] = {}
        for some in _chunks(keys):
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"SELECT key, text, flags FROM translations WHERE key IN ({marks})", some)
            found |= {row: Translated(text, tuple(flags.split())) for row, text, flags in rows}
        return found

    def claim(self, keys: Sequence[bytes]) -> list[bytes]:
        """Those of `keys` that nobody has translated or is translating, in order: they are now this process's to do."""
        with _Transaction(self._database):
            done = self.get(keys)
            held: dict[bytes, tuple[str, float]] = {}
            for some in _chunks(keys):
                marks = ",".join("?" * len(some))
                rows = self._database.execute(f"SELECT key, owner, since FROM claims WHERE key IN ({marks})", some)
                held |= {row: (owner, since) for row, owner, since in rows}
            free = [row for row in keys if row not in done and (row not in held or self._lapsed(*held[row]))]
            now = time.time()
            self._database.executemany(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", [(row, self._owner, now) for row in free]
            )
        return free

    def put(self, translations: Mapping[bytes, Translated]) -> None:
        """Keep translations and release their claims; a translation that is already there stays as it is.

        What else this process has claimed, it holds for another :data:`LEASE`.

        An empty one is not kept: a program that failed today may succeed next time.
        """
        kept = [(row, value.text, " ".join(value.flags)) for row, value in translations.items() if value.text]
        with _Transaction(self._database):
            self._database.executemany("INSERT OR IGNORE INTO translations VALUES (?, ?, ?)", kept)
            self._database.executemany("DELETE FROM claims WHERE key = ?", [(row,) for row in translations])
            self._database.execute("UPDATE claims SET since = ? WHERE owner = ?", (time.time(), self._owner))

    def _lapsed(self, owner: str, since: float) -> bool:
        return owner == self._owner or not 0 <= time.time() - since < LEASE or not alive(owner)


class _Transaction:
    """A write transaction that is taken at the start, so that reading and writing in it are one step."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.execute("COMMIT" if error is None else "ROLLBACK")


def _chunks(keys: Iterable[bytes], size: int = 500) -> Iterator[list[bytes]]:
    rest = iter(keys)
    while some := list(islice(rest, size)):
        yield some
