"""Damaged tables and reports of every data set: read as far as they can be, or refused in one line."""

from __future__ import annotations

import gzip
import importlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mmclip.config.ingest import parse_source
from mmclip.config.source import FolderSource
from mmclip.errors import UserError
from mmclip.ingest.assembler import assemble
from tests.ingest.adapters.test_chexpert import chexpert
from tests.ingest.adapters.test_chexpert_plus import plus
from tests.ingest.adapters.test_covid import covidx, radiography
from tests.ingest.adapters.test_mimic_cxr import mimic
from tests.ingest.adapters.test_nih_cxr14 import nih
from tests.ingest.adapters.test_open_i import indiana
from tests.ingest.adapters.test_padchest import padchest
from tests.ingest.adapters.test_rsna_pneumonia import rsna
from tests.ingest.adapters.test_siim_pneumothorax import siim
from tests.ingest.adapters.test_vindr_cxr import vindr
from tests.ingest.trees import Tree

BUILDERS: dict[str, Callable[[Tree], Tree]] = {
    "mimic_cxr": mimic,
    "chexpert": chexpert,
    "chexpert_plus": plus,
    "open_i": indiana,
    "padchest": padchest,
    "nih_cxr14": nih,
    "rsna_pneumonia": rsna,
    "siim_pneumothorax": siim,
    "covid_radiography": radiography,
    "covidx": covidx,
    "vindr_cxr": vindr,
}

PIECES = [
    b"",
    b"\0",
    b"\xff",
    b'"',
    b",",
    b"\n",
    b"\r",
    b"-",
    b"9" * 400,
    b"nan",
    b"../",
    b"\xef\xbb\xbf",
    b"/",
    b" ",
    b"1e999",
]


def damage(data: bytes, random_: random.Random) -> bytes:
    """Some bytes cut out, exchanged or put in."""
    for _ in range(random_.randint(1, 3)):
        at = random_.randrange(len(data) + 1)
        end = min(len(data), at + random_.choice([0, 1, 1, 8, 200]))
        data = data[:at] + random_.choice(PIECES) + data[end:]
    return data


def check(kind: str, folder: Path, seeds: range) -> None:
    """Damage a file of a data set, and the next time another."""
    tree = BUILDERS[kind](Tree(folder))
    source = parse_source({"kind": kind, "root": str(tree.root), "error_budget": 1.0, "workers": 1})
    assert isinstance(source, FolderSource)
    adapter = importlib.import_module(f"mmclip.ingest.adapters.{kind}")
    files = [file for file in sorted(tree.root.rglob("*")) if file.is_file()]
    tables = [file for file in files if file.suffix not in (".dcm", ".dicom", ".jpg", ".png")] or files
    for seed in seeds:
        random_ = random.Random(f"{kind} {seed}")
        file = random_.choice(tables if seed % 4 else files)
        whole = file.read_bytes()
        inside = file.suffix == ".gz" and seed % 3 > 0
        damaged = damage(gzip.decompress(whole) if inside else whole, random_)
        file.write_bytes(gzip.compress(damaged) if inside else damaged)
        try:
            assemble("set", adapter.read(source), source, tree.output)
        except UserError as error:
            assert "\n" not in str(error), error
        file.write_bytes(whole)


@pytest.mark.parametrize("kind", BUILDERS)
def test_some_damage(kind: str, tmp_path: Path) -> None:
    check(kind, tmp_path, range(20))


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUILDERS)
def test_much_damage(kind: str, tmp_path: Path) -> None:
    check(kind, tmp_path, range(20, 1000))
