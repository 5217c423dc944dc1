"""A user's mistake, through the real command line: one clear line, exit status 2, nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from mmclip.tables.files import write_table
from mmclip.tables.ingest import STUDIES

COLUMNS = "columns: {id: study_id, image: image, text: report}"


def mmclip(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("MMCLIP_CONTROLLER", None)
    return subprocess.run(
        [sys.executable, "-m", "mmclip", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], *signs: str) -> None:
    """Check that the command ended with one line that holds these signs."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    messages = [line for line in done.stderr.splitlines() if line.startswith("mmclip: ")]
    assert len(messages) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == messages[0], "the message is the last line, and one line"
    for sign in signs:
        assert sign in messages[0]


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with twelve studies, their images and settings; tests break something in it."""
    random = np.random.default_rng(0)
    rows = ["study_id,image,report"]
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number}.png"), random.integers(0, 255, (80, 80), dtype=np.uint8))
        rows.append(f"s{number},{number}.png,The heart is enlarged.")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "settings.yaml").write_text(COLUMNS + "\n")
    return tmp_path


INGEST = ("ingest", "table", "table.csv", "--settings", "settings.yaml", "-o", "out/mine")


def test_the_source_is_right_before_it_is_broken(source: Path) -> None:
    done = mmclip(*INGEST, cwd=source)
    assert done.returncode == 0, done.stderr
    assert mmclip("pack", "out/mine/images.parquet", "-o", "packed", cwd=source).returncode == 0


def test_missing_column(source: Path) -> None:
    (source / "settings.yaml").write_text(COLUMNS.replace("report}", "reports}"))
    before = files(source)
    refused(mmclip(*INGEST, cwd=source), "table.csv", "'reports'")
    assert files(source) == before


def test_missing_column_of_reports_to_label(source: Path) -> None:
    before = files(source)
    arguments = ("label", "table.csv", "--id-column", "study_id", "--text-column", "findings", "-o", "labels.csv")
    refused(mmclip(*arguments, cwd=source), "table.csv", "'findings'")
    assert files(source) == before


def test_missing_file(source: Path) -> None:
    refused(mmclip("ingest", "table", "none.csv", "--settings", "settings.yaml", "-o", "out", cwd=source), "none.csv")
    assert not (source / "out").exists()


def test_unreadable_image(source: Path) -> None:
    (source / "3.png").write_bytes(b"this is no image")
    done = mmclip(*INGEST, cwd=source)
    refused(done, "1 of 12", "3.png", "error_budget")
    assert not (source / "out/mine").exists()
    assert files(source / "out") == {"mine.skipped.parquet"}


def test_image_that_breaks_off(source: Path) -> None:
    """Its header is whole, so that only packing notices."""
    assert mmclip(*INGEST, cwd=source).returncode == 0
    whole = (source / "3.png").read_bytes()
    (source / "3.png").write_bytes(whole[: len(whole) // 2])
    done = mmclip("pack", "out/mine/images.parquet", "-o", "packed/mine", cwd=source)
    refused(done, "1 of 12", "error_budget")
    shown = {name for name in files(source / "packed") if not name.startswith(".mine.shards/")}
    assert shown == {"mine.skipped.parquet"}  # what was packed waits, hidden, for the next attempt


def test_a_bad_sample_within_the_budget_is_listed(source: Path) -> None:
    (source / "3.png").write_bytes(b"this is no image")
    (source / "settings.yaml").write_text(COLUMNS + "\nerror_budget: 0.1\n")
    done = mmclip(*INGEST, cwd=source)
    assert done.returncode == 0, done.stderr
    assert len(pl.read_parquet(source / "out/mine/skipped.parquet")) == 1
    assert len(pl.read_parquet(source / "out/mine/images.parquet")) == 11


def test_empty_report(source: Path) -> None:
    rows = (source / "table.csv").read_text().replace("s5,5.png,The heart is enlarged.", "s5,5.png,  ")
    (source / "table.csv").write_text(rows)
    (source / "settings.yaml").write_text("columns: {id: study_id, text: report}\n")
    refused(mmclip(*INGEST, cwd=source), "1 of 12", "'s5'", "error_budget")
    assert files(source / "out") == {"mine.skipped.parquet"}


@pytest.mark.parametrize("command", ["translate", "config"])
def test_wrong_language_code(source: Path, command: str) -> None:
    (source / "texts.csv").write_text("study_id,text\ns1,No effusion.\n")
    before = files(source)
    if command == "translate":
        done = mmclip("translate", "texts.csv", "--to", "spanish", "-o", "out.csv", cwd=source)
    else:
        (source / "config.yaml").write_text("languages: [eng_Latn, spanish]\ndatasets: {a: {kind: phantom}}\n")
        before = files(source)
        done = mmclip("run", "--configfile", "config.yaml", cwd=source)
    refused(done, "'spanish'")
    assert files(source) == before


@pytest.mark.parametrize(
    ("arguments", "signs"),
    [
        (("pack", "images.parquet", "--settings", '{"sise": 64}', "-o", "out"), ("'sise'", "size")),
        (("ingest", "phantom", "--settings", '{"studies": 3}', "-o", "out"), ("'studies'",)),
        (("ingest", "phantom", "--n", "0", "-o", "out"), ("n:", "0")),
        (("ingest", "other", "-o", "out"), ("kind",)),
        (("ingest", "phantom", "--settings", "[1]", "-o", "out"), ("[1]",)),
        (("run", "--configfile", "config.yaml"), ("config.yaml", "'experiment'", "experiments")),
    ],
)
def test_wrong_config_key(source: Path, arguments: tuple[str, ...], signs: tuple[str, ...]) -> None:
    (source / "config.yaml").write_text("datasets: {a: {kind: phantom}}\nexperiment: {a: b}\n")
    before = files(source)
    refused(mmclip(*arguments, cwd=source), *signs)
    assert files(source) == before


# --- full disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system on which 64 KiB are left."""
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    (folder / "filler").write_bytes(b"x" * (2**20 - 2**16))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def studies(folder: Path) -> Path:
    """A studies table with many different texts."""
    rows: list[dict[str, object]] = [
        {
            "study_id": f"s{number:05d}",
            "patient_id": f"p{number:05d}",
            "language": "eng_Latn",
            "findings": "",
            "impression": "",
            "text": f"The nodule measures {number} mm. Study {os.urandom(20).hex()}.",
            "split": "train",
            "source": "test",
        }
        for number in range(3000)
    ]
    write_table(STUDIES.frame(rows), folder / "studies.parquet", STUDIES)
    return folder / "studies.parquet"


SPANISH = '{"engines": {"phrasebook": {"kind": "memory", "file": "memory.tsv"}}}'


@pytest.mark.needs("root")
def test_full_disk_of_tables(full: Path, tmp_path: Path) -> None:
    refused(mmclip("ingest", "phantom", "--n", "100", "-o", full / "phantom", cwd=tmp_path), "No space left on device")
    shard = ("--shard", "0/1", "--sentence-labels", full / "a.parquet", "--labels", full / "b.parquet")
    refused(mmclip("label-shard", studies(tmp_path), *shard, cwd=tmp_path), "No space left on device")
    assert files(full) == {"filler"}


@pytest.mark.needs("root")
def test_full_disk_of_pixels(full: Path, source: Path) -> None:
    assert mmclip(*INGEST, cwd=source).returncode == 0
    done = mmclip("pack", "out/mine/images.parquet", "-o", full / "packed", cwd=source)
    refused(done, "free space")
    assert files(full) == {"filler"}


@pytest.mark.needs("root")
def test_full_disk_of_translations(full: Path, tmp_path: Path) -> None:
    """The store of translations is a database, which says so in its own words."""
    table = studies(tmp_path)
    texts = pl.read_parquet(table)["text"].to_list()
    lines = [f"{sentence}\tspa_Latn\t{sentence} ¡" for text in texts for sentence in (f"{text.split('. ')[0]}.",)]
    (tmp_path / "memory.tsv").write_text("\n".join(lines) + "\n")
    done = mmclip(
        "translate-shard", table, "--to", "spa_Latn", "--shard", "0/1", "--settings", SPANISH,
        "--store", full / "store", "-o", full / "spa.parquet", "--faults", full / "faults.parquet", cwd=tmp_path,
    )  # fmt: skip
    refused(done, "disk")
    assert not [name for name in files(full) if name.endswith((".parquet", ".tmp"))]
