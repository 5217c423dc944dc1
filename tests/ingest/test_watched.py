"""What is watched of a data set: anything new, gone or changed gives another digest, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmclip.ingest.watched import TABLES, below, digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("ecgen-radiology/1.xml", "NLMCXR_png/CXR1_1.png", "NLMCXR_png/deep/CXR2_1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_files_come_in_order_whatever_the_disk_says(folder: Path) -> None:
    names = [Path(path).relative_to(folder).as_posix() for path, _ in below(folder)]
    assert names == ["NLMCXR_png/CXR1_1.png", "NLMCXR_png/deep/CXR2_1.png", "ecgen-radiology/1.xml"]


def test_new_gone_renamed_and_changed_files_are_noticed(folder: Path) -> None:
    source = {"kind": "open_i", "root": str(folder)}
    seen = [digest(source)]

    def step() -> None:
        seen.append(digest(source))
        assert seen[-1] == digest(source)

    (folder / "ecgen-radiology/2.xml").write_text("new")
    step()
    (folder / "ecgen-radiology/2.xml").write_text("longer")
    step()
    os.utime(folder / "ecgen-radiology/2.xml", ns=(0, 1))
    step()
    (folder / "ecgen-radiology/2.xml").rename(folder / "ecgen-radiology/3.xml")
    step()
    (folder / "ecgen-radiology/3.xml").unlink()
    assert digest(source) == seen[0]
    assert len(set(seen)) == len(seen) == 5


def test_reading_hidden_files_and_empty_folders_change_nothing(folder: Path) -> None:
    source = {"kind": "open_i", "root": str(folder)}
    before = digest(source)
    (folder / "ecgen-radiology/1.xml").read_text()
    (folder / ".DS_Store").write_text("x")
    (folder / "NLMCXR_dcm").mkdir()
    (folder / "broken").symlink_to(folder / "nowhere")
    assert digest(source) == before


def test_links_are_followed_and_circles_are_not(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/a.png").write_text("a")
    (folder / "more").symlink_to(tmp_path / "more")
    (tmp_path / "more/again").symlink_to(folder)
    (tmp_path / "more/self").symlink_to(tmp_path / "more")
    paths = [path for path, _ in below(folder)]
    assert str(folder / "more/a.png") in paths and len(paths) < 30


@pytest.mark.parametrize("kind", TABLES)
def test_of_many_folders_the_tables_alone_are_watched(tmp_path: Path, kind: str) -> None:
    name = "mimic-cxr-2.0.0-metadata.csv.gz" if kind == "mimic_cxr" else "train.csv"
    (tmp_path / name).write_text("one")
    (tmp_path / "files").mkdir()
    source = {"kind": kind, "root": str(tmp_path)}
    before = digest(source)
    (tmp_path / "files/a.jpg").write_text("a")
    assert digest(source) == before
    (tmp_path / name).write_text("another")
    assert digest(source) != before


@pytest.mark.parametrize(("name", "separator"), [("studies.csv", ","), ("studies.tsv", "\t"), ("studies.csv", ";")])
def test_what_a_table_names_is_watched(tmp_path: Path, name: str, separator: str) -> None:
    table = tmp_path / name
    table.write_text("id,image,report\n1,a.png,r1.txt\n2,b.png,\n".replace(",", separator))
    (tmp_path / "a.png").write_text("a")
    (tmp_path / "reports").mkdir()
    columns = {"id": "id", "image": "image", "report": "report"}
    source: dict[str, Any] = {"kind": "table", "file": str(table), "columns": columns}
    source |= {"report_root": str(tmp_path / "reports"), "separator": separator if separator == ";" else None}
    seen = [digest(source)]
    for added, notices in (
        ("b.png", True), ("c.png", False), ("reports/r1.txt", True), ("reports/r2.txt", False), ("r1.txt", False),
    ):  # fmt: skip
        (tmp_path / added).write_text("x")
        seen.append(digest(source))
        assert (seen[-1] != seen[-2]) == notices, added


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "phantom"},
        {"kind": "open_i", "root": "nowhere"},
        {"kind": "mimic_cxr", "root": "nowhere"},
        {"kind": "mimic_cxr"},
        {"kind": "table", "file": "nowhere.csv", "columns": {"image": "image"}},
        {"kind": "table", "file": "broken.csv", "columns": {"image": "image"}},
    ],
)
def test_what_is_wrong_is_left_to_the_ingest(
    source: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.csv").write_bytes(b'id,image\n1,"open\n')
    assert isinstance(digest(source), str)


def test_the_standard_library_is_enough() -> None:
    script = (
        "import sys; before = set(sys.modules); import mmclip.ingest.watched; "
        "print({name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "{'mmclip'}"
