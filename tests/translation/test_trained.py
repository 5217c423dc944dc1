"""The NLLB engines on a small model that really translates: four languages, two of them not in Latin script."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from sacrebleu.metrics.chrf import CHRF

from mmclip.config import translation as config
from mmclip.config.base import parse
from mmclip.languages import language
from mmclip.phantom import phrasebook
from mmclip.tables.files import write_table
from mmclip.tables.ingest import STUDIES
from mmclip.translation.convert import MANIFEST, convert
from mmclip.translation.nllb import Nllb
from mmclip.translation.nllb_transformers import NllbTransformers
from tests.translation import trained
from tests.translation.fakes import translate_all
from tests.translation.test_translation_stage import child, in_store, run, study

pytestmark = pytest.mark.slow

CUT = ("spa_Latn", "zho_Hans")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return trained.train(tmp_path_factory.mktemp("trained") / "model")
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def converted(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model as float32, as int8, and as int8 with the output layer cut to two languages' pieces."""
    folder = tmp_path_factory.mktemp("converted")
    texts = folder / "texts.txt"
    texts.write_text("\n".join(translation for code in CUT for _, translation in trained.pairs(code)))
    convert(model, folder / "float32", "float32")
    convert(model, folder / "int8", "int8")
    convert(model, folder / "cut", "int8", languages=CUT, texts=(texts,))
    return {name: folder / name for name in ("float32", "int8", "cut")}


def fast(folder: Path, **options: object) -> Nllb:
    return Nllb("nllb", config.Nllb(kind="nllb", model=folder, **{"device": "cpu", "workers": 1, **options}))


def slow(folder: Path, **options: object) -> NllbTransformers:
    settings = config.NllbTransformers(kind="nllb-transformers", model=folder, **{"device": "cpu", **options})
    return NllbTransformers("reference", settings)


def texts(engine: Nllb | NllbTransformers, target: str) -> list[str]:
    sources = [source for source, _ in trained.pairs(target)]
    return [translated.text for translated in translate_all(engine, sources, "eng_Latn", target)]


def agreement(one: list[str], other: list[str]) -> float:
    return sum(left == right for left, right in zip(one, other, strict=True)) / len(one)


@pytest.mark.parametrize("target", trained.TARGETS)
@pytest.mark.parametrize("name", ["reference", "float32", "int8"])
def test_it_translates(model: Path, converted: dict[str, Path], target: str, name: str) -> None:
    right = [translation for _, translation in trained.pairs(target)]
    found = texts(slow(model) if name == "reference" else fast(converted[name]), target)
    assert agreement(found, right) > 0.5
    assert CHRF().corpus_score(found, [right]).score > 75


def test_the_language_that_is_asked_for_is_what_comes(converted: dict[str, Path]) -> None:
    engine = fast(converted["int8"])
    of_script = {"Latn": "abc", "Cyrl": "абв", "Hans": "肺胸右左"}
    for target in trained.TARGETS:
        written = " ".join(texts(engine, target)).lower()
        for script, letters in of_script.items():
            found = sum(map(written.count, letters)) > 20
            assert found == (script == language(target).script), (target, script)


@pytest.mark.parametrize("target", trained.TARGETS)
@pytest.mark.parametrize("beam, differing, apart", [(1, 0.0, 0.0), (4, 0.05, 0.25)])
def test_engines_agree_up_to_beam_ties(
    model: Path, converted: dict[str, Path], target: str, beam: int, differing: float, apart: float
) -> None:
    """Greedy they are one. The two libraries end a beam search by different rules, which few sentences notice."""
    reference = slow(model, beam=beam)
    one, other = texts(fast(converted["float32"], beam=beam), target), texts(reference, target)
    sources = [source for source, _ in trained.pairs(target)]
    assert agreement(one, other) >= 1 - differing
    for source, left, right in zip(sources, one, other, strict=True):
        if left != right:
            assert abs(score(reference, source, left, target) - score(reference, source, right, target)) < apart


def score(reference: NllbTransformers, source: str, text: str, target: str) -> float:
    """Mean log probability of a translation's tokens."""
    tokenizer, network = reference._tokenizer, reference._model
    ids, labels = (torch.tensor([trained._ids(tokenizer, *pair)]) for pair in ((source, "eng_Latn"), (text, target)))
    with torch.inference_mode():
        return -float(network(input_ids=ids, labels=labels).loss)


@pytest.mark.parametrize("target", trained.TARGETS)
def test_int8_changes_little(converted: dict[str, Path], target: str) -> None:
    whole, small = texts(fast(converted["float32"]), target), texts(fast(converted["int8"]), target)
    assert agreement(whole, small) > 0.8
    assert (converted["int8"] / "model.bin").stat().st_size < 0.5 * (converted["float32"] / "model.bin").stat().st_size


@pytest.mark.parametrize("target", CUT)
def test_a_cut_output_layer_changes_nothing(converted: dict[str, Path], target: str) -> None:
    rows = {name: json.loads((converted[name] / MANIFEST).read_text())["output_rows"] for name in ("int8", "cut")}
    assert rows["cut"] < 0.6 * rows["int8"]
    assert texts(fast(converted["cut"]), target) == texts(fast(converted["int8"]), target)


@pytest.mark.parametrize("target", ["spa_Latn", "zho_Hans"])
def test_batches_and_workers_change_nothing(converted: dict[str, Path], target: str) -> None:
    together = texts(fast(converted["int8"]), target)
    assert texts(fast(converted["int8"], batch_tokens=1), target) == together
    assert texts(fast(converted["int8"], workers=2, batch_tokens=100), target) == together


def test_killed_and_resumed(converted: dict[str, Path], tmp_path: Path) -> None:
    """All sentences are one block, of which each batch is stored when it is done."""
    engine = {"kind": "nllb", "model": str(converted["int8"]), "device": "cpu", "workers": 2, "batch_tokens": 64}
    settings = parse(config.Translation, {"engines": {"nllb": engine}, "engine": "nllb", "block": 10**6})
    known = [source for source, _ in phrasebook.translations("spa_Latn")]
    rows = [study(f"s{number}", source) for number, source in enumerate(known)]
    write_table(STUDIES.frame(rows), tmp_path / "studies.parquet", STUDIES)
    whole = run(settings, tmp_path / "studies.parquet", tmp_path / "whole")[0].read_bytes()

    output = tmp_path / "killed" / "spa_Latn" / "x-000.parquet"
    process = child(settings, tmp_path / "studies.parquet", output)
    wait_for(tmp_path / "killed" / ".store" / "translations.sqlite", 40, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    stored = len(in_store(settings, known, tmp_path / "killed" / ".store"))
    assert not output.exists() and 40 <= stored < len(set(known))
    _, _, summary = run(settings, tmp_path / "studies.parquet", tmp_path / "killed")
    assert output.read_bytes() == whole
    assert summary["new"] == len(set(known)) - stored, "what was stored is not translated again"


def wait_for(store: Path, rows: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the store holds so many translations."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if store.is_file():
            with closing(sqlite3.connect(store, timeout=10)) as database:
                try:
                    (found,) = database.execute("SELECT count(*) FROM translations").fetchone()
                except sqlite3.OperationalError:  # its tables are not made yet
                    found = 0
            if found >= rows:
                return
        time.sleep(0.02)
    raise AssertionError(f"{sys.executable}: never held {rows} translations")
