"""Which files of a data set are watched, so that the ingest runs again when one is new, gone or changed.

The workflow asks while it is planned, each time, with the Python that runs Snakemake: so a file's path, size and time
of change stand for its content, and this module needs the standard library alone. Where each study has a folder of its
own, hundreds of thousands would be listed each time, on a network's disk for minutes: of those data sets only the
tables are watched, which name every image.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

TABLES: dict[str, tuple[str, ...]] = {
    "mimic_cxr": ("*.csv", "*.csv.gz"),
    "chexpert": ("*.csv",),
    "chexpert_plus": ("*.csv", "chexbert_labels/*"),
}
"""Kind -> patterns below its root of all that is watched; of other published data sets it is everything."""


Sighting = tuple[str, os.stat_result]
"""A file's path, and what the disk says of it."""


def digest(source: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that change when a watched file does; "" for simulated data.

    Files that cannot be found count as not there: what is missing is the ingest's to say.

    Args:
        source: the data set's settings as the config has them.
    """
    if source["kind"] == "phantom":
        return ""
    total = hashlib.sha256()
    for path, status in _watched(source):
        total.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return total.hexdigest()[:16]


def _watched(source: Mapping[str, Any]) -> Iterator[Sighting]:
    kind = source["kind"]
    if kind == "table":
        return _sighted(_named(source))
    root = Path(source.get("root", ""))
    if kind in TABLES:
        return _sighted(sorted(file for pattern in TABLES[kind] for file in root.glob(pattern)))
    return below(root)


def below(folder: Path | str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Sighting]:
    """The files below a folder, in order, without hidden ones; links are followed, but never into a circle.

    Args:
        above: device and inode of the folders that it was reached through.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.name.startswith("."):
            continue
        try:
            is_folder, status = entry.is_dir(), entry.stat()
        except OSError:
            continue
        place = (status.st_dev, status.st_ino)
        if not is_folder:
            yield entry.path, status
        elif place not in above:
            yield from below(entry.path, above | {place})


def _sighted(files: Iterable[Path]) -> Iterator[Sighting]:
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            yield str(file), file.stat()


def _named(source: Mapping[str, Any]) -> Iterator[Path]:
    """The table of a data set of one's own, and the images and reports that it names; of Parquet the table alone."""
    file, columns = Path(source.get("file", "")), source.get("columns", {})
    roots = {"image": source.get("image_root"), "report": source.get("report_root")}
    named = {columns[key]: Path(root or file.parent) for key, root in roots.items() if columns.get(key)}
    yield file
    if not named or file.suffix.lower() in (".parquet", ".pq"):
        return
    separator = source.get("separator") or ("," if file.suffix.lower() == ".csv" else "\t")
    encoding = "cp1252" if source.get("encoding") == "latin-1" else "utf-8-sig"
    with contextlib.suppress(OSError, csv.Error), file.open(encoding=encoding, errors="replace", newline="") as text:
        for row in csv.DictReader(text, delimiter=separator):
            yield from (root / row[column] for column, root in named.items() if row.get(column))
