"""Bad input and bad engines through the real commands: handled, counted, and said in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from mmclip.tables.files import read_table, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.translation import SENTENCES
from tests.translation.test_translation_stage import study

PROGRAM = """
import sys, time
for line in sys.stdin:
    {before}
    print(line.rstrip("\\n").upper(), flush=True)
"""


def mmclip(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "mmclip", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def settings(folder: Path, before: str = "pass", **options: object) -> Path:
    """Settings of an engine that shouts, after doing something with each line."""
    (folder / "program.py").write_text(PROGRAM.format(before=before))
    lines = ["engines:", "  shout:", "    kind: command", f"    pipelines: {{spa_Latn: [{sys.executable} program.py]}}"]
    lines += [f"    {key}: {value}" for key, value in options.items()]
    (folder / "engines.yaml").write_text("\n".join([*lines, "engine: shout"]) + "\n")
    return folder / "engines.yaml"


def translate_shard(folder: Path, texts: list[str], chosen: Path) -> subprocess.CompletedProcess[str]:
    rows = [study(f"s{number}", text) for number, text in enumerate(texts)]
    write_table(STUDIES.frame(rows), folder / "studies.parquet", STUDIES)
    return mmclip(
        "translate-shard", "studies.parquet", "--to", "spa_Latn", "--shard", "0/1", "--settings", chosen,
        "--store", "store", "-o", "out.parquet", "--faults", "faults.parquet", cwd=folder,
    )  # fmt: skip


def test_invalid_utf8(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"study_id,text\nb,Edema.\na,No effusi\xf3n.\nc,Clear.\nd,\xff\xfe\n")
    done = mmclip("translate", "in.csv", "--to", "spa_Latn", "-o", "out.csv", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "mmclip: in.csv: 2 of its 6 lines are not UTF-8, the first is line 3; save it as UTF-8"
    )
    assert not (tmp_path / "out.csv").exists()


def test_a_sentence_of_a_megabyte(tmp_path: Path) -> None:
    done = translate_shard(tmp_path, ["no effusion " * 90_000, "Edema."], settings(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "1 sentences of more than 2000 characters are left untranslated" in done.stderr
    assert "too_long: 1" in done.stdout
    frame = read_table(tmp_path / "out.parquet", SENTENCES)
    assert frame["translation"].to_list() == ["", "EDEMA."]
    assert frame["flags"].to_list() == [["length_limit", "empty"], []]
    assert len(frame["source"][0]) > 10**6, "the source stays as it was"


def test_control_and_bidirectional_characters(tmp_path: Path) -> None:
    texts = ["No\x00 effusion\x1b[31m.", "The \u202eheart\u202c is normal.\u200f"]
    done = translate_shard(tmp_path, texts, settings(tmp_path, "line = line.rstrip() + '\\x08 \\u202e!'"))
    assert done.returncode == 0, done.stderr
    assert "invisible characters were taken out of 2 distinct sentences" in done.stderr
    assert "cleaned: 2" in done.stdout
    frame = read_table(tmp_path / "out.parquet", SENTENCES)
    assert frame["translation"].to_list() == ["NO EFFUSION[31M. !", "THE HEART IS NORMAL. !"]
    assert "\u202e" in frame["source"][1]


@pytest.mark.parametrize(
    "before, options",
    [
        ("if 'bad' in line: continue", {}),
        ("if 'bad' in line: sys.exit(3)", {}),
        ("if 'bad' in line: time.sleep(60)", {"timeout": 0.5, "timeout_per_sentence": 0.0}),
    ],
    ids=["too few lines", "dies", "hangs"],
)
def test_an_engine_that_fails_on_one_sentence(tmp_path: Path, before: str, options: dict[str, object]) -> None:
    texts = ["No effusion.", "This is bad.", "Edema."]
    done = translate_shard(tmp_path, texts, settings(tmp_path, before, **options))
    assert done.returncode == 0, done.stderr
    assert "'empty': 1" in done.stdout
    assert "1 sentences came back empty" in done.stderr
    frame = read_table(tmp_path / "out.parquet", SENTENCES)
    assert frame["translation"].to_list() == ["NO EFFUSION.", "", "EDEMA."]
    assert frame.filter(pl.col("flags").list.contains("empty"))["source"].to_list() == ["This is bad."]


def test_an_engine_that_only_fails(tmp_path: Path) -> None:
    done = translate_shard(tmp_path, [f"Finding {number}." for number in range(9)], settings(tmp_path, "sys.exit(7)"))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("mmclip: engine shout: its command fails on every sentence")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.needs("apertium")
def test_comparison_prints_what_each_engine_keeps(tmp_path: Path) -> None:
    (tmp_path / "engines.yaml").write_text(
        "engines:\n  book: {kind: memory, file: memory.tsv}\n"
        "  apertium: {kind: command, pipelines: {spa_Latn: [apertium -u eng-spa]}}\nengine: book\n"
    )
    (tmp_path / "memory.tsv").write_text(
        "There is no left effusion.\tspa_Latn\tHay derrame derecho.\nA nodule of 9 mm.\tspa_Latn\tUn nódulo de 9 mm.\n"
    )
    (tmp_path / "in.csv").write_text("study_id,text\na,There is no left effusion. A nodule of 9 mm.\n")
    done = mmclip(
        "translate", "in.csv", "--to", "spa_Latn", "--compare", "book", "apertium", "--sample", "10",
        "--settings", "engines.yaml", "-o", "out.csv", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = {line.rsplit(None, 2)[0].strip(): line.split()[-2:] for line in done.stdout.splitlines() if "kept" in line}
    assert table == {
        "negation kept": ["0.000", "1.000"],
        "side kept": ["0.000", "1.000"],
        "numbers kept": ["1.000", "1.000"],
    }
    assert "2 distinct sentences into spa_Latn (negation 1, side 1, numbers 1)" in done.stdout
