"""The stage: rows and bytes, each sentence once, kill -9 and resume, two jobs at once, and files of texts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from mmclip.config.base import parse
from mmclip.config.translation import Translation
from mmclip.errors import UserError
from mmclip.phantom import phrasebook
from mmclip.phantom.reports import write
from mmclip.phantom.truth import draw
from mmclip.sentences import split
from mmclip.tables.files import read_table, write_table
from mmclip.tables.ingest import STUDIES
from mmclip.tables.phantom import FAULTS
from mmclip.tables.sharding import shard_of
from mmclip.tables.translation import SENTENCES
from mmclip.translation.engines import build
from mmclip.translation.stage import translate, translate_file
from mmclip.translation.store import Store, key

LOGGING = """
import sys, time
for line in sys.stdin:
    with open({log!r}, "a") as log:
        log.write(line)
    time.sleep({seconds})
    print(line.strip().upper(), flush=True)
"""


def study(study_id: str, text: str, language: str = "eng_Latn") -> dict[str, object]:
    return {
        "study_id": study_id,
        "patient_id": study_id,
        "language": language,
        "findings": None,
        "impression": None,
        "text": text,
        "split": "train",
        "source": "test",
    }


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 phantom studies and one without text."""
    path = tmp_path_factory.mktemp("ingest") / "studies.parquet"
    rows = [study(truth.study_id, write(truth).text) for truth in draw(200, seed=1)]
    write_table(STUDIES.frame([*rows, study("empty", "")]), path, STUDIES)
    return path


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """40 studies of 30 distinct sentences in all."""
    path = tmp_path / "few.parquet"
    lines = [f"Finding number {number} is seen." for number in range(30)]
    rows = [study(f"s{number}", " ".join(lines[(number + k) % 30] for k in range(4))) for number in range(40)]
    write_table(STUDIES.frame(rows), path, STUDIES)
    return path


def logging_engine(folder: Path, seconds: float, block: int, batch: int = 1024) -> tuple[Translation, Path]:
    """An engine that writes down every sentence that it translates."""
    log, program = folder / "calls.log", folder / "program.py"
    program.write_text(LOGGING.format(log=str(log), seconds=seconds))
    engine = {"kind": "command", "batch": batch, "pipelines": {"spa_Latn": [f"{sys.executable} {program}"]}}
    return parse(Translation, {"engines": {"slow": engine}, "engine": "slow", "block": block}), log


def run(
    settings: Translation, studies: Path, folder: Path, to: str = "spa_Latn", shard: int = 0, shards: int = 1
) -> tuple[Path, Path, dict[str, object]]:
    output, faults = folder / to / f"x-{shard:03}.parquet", folder / to / f"x-{shard:03}.faults.parquet"
    return output, faults, translate(settings, studies, to, shard, shards, output, faults)


def test_phantom_into_every_language(reports: Path, tmp_path: Path) -> None:
    texts = dict(pl.read_parquet(reports).select("study_id", "text").iter_rows())
    for to in phrasebook.available():
        output, faults, summary = run(Translation(), reports, tmp_path, to)
        frame, faulty = read_table(output, SENTENCES), read_table(faults, FAULTS)
        assert {row: list(group["source"]) for (row,), group in frame.group_by("study_id")} == {
            row: split(text) for row, text in texts.items() if text
        }
        assert summary["faults"] == dict(sorted(Counter(faulty["kind"]).items()))
        if to == "eng_Latn":
            assert (frame["translation"] == frame["source"]).all()
            assert set(frame["engine"]) == {"source"} and faulty.is_empty()
            continue
        book = dict(phrasebook.translations(to))
        wrong = frame.filter(pl.col("translation") != pl.col("source").replace_strict(book))
        assert set(wrong.select("study_id", "index").iter_rows()) == set(faulty.select("study_id", "index").iter_rows())
        assert 0.04 < wrong.height / frame.height < 0.08
        assert set(frame["engine"]) == {"phrasebook"}


def test_shards_partition_the_studies(reports: Path, tmp_path: Path) -> None:
    whole, _, _ = run(Translation(), reports, tmp_path / "whole")
    parts = [run(Translation(), reports, tmp_path / "parts", shard=shard, shards=3)[0] for shard in range(3)]
    for shard, part in enumerate(parts):
        assert {shard_of(row, 3) for row in pl.read_parquet(part)["study_id"]} == {shard}
    together = pl.concat([pl.read_parquet(part) for part in parts]).sort("study_id", "index")
    assert together.equals(pl.read_parquet(whole).sort("study_id", "index")), "a shard changes nothing in a sentence"


def test_same_bytes_with_and_without_the_store(reports: Path, tmp_path: Path) -> None:
    first = [file.read_bytes() for file in run(Translation(), reports, tmp_path / "a")[:2]]
    output, faults, summary = run(Translation(), reports, tmp_path / "a")
    assert summary["new"] == 0
    assert [output.read_bytes(), faults.read_bytes()] == first
    assert [file.read_bytes() for file in run(Translation(), reports, tmp_path / "b")[:2]] == first


def test_each_distinct_sentence_once(few: Path, tmp_path: Path) -> None:
    settings, log = logging_engine(tmp_path, 0.0, block=7)
    summaries = [run(settings, few, tmp_path, shard=shard, shards=3)[2] for shard in range(3)]
    asked = log.read_text().splitlines()
    assert len(asked) == len(set(asked)) == 30
    assert sum(int(str(summary["new"])) for summary in summaries) == 30
    frame = read_table(tmp_path / "spa_Latn" / "x-000.parquet", SENTENCES)
    assert list(frame["translation"]) == [source.upper() for source in frame["source"]]


CHILD = """
import sys
from pathlib import Path
from mmclip.config.base import load
from mmclip.config.translation import Translation
from mmclip.translation.stage import translate
settings, studies, output = sys.argv[1:]
output = Path(output)
translate(load(Translation, settings), Path(studies), "spa_Latn", 0, 1, output, output.with_suffix(".faults.parquet"))
"""


def child(settings: Translation, studies: Path, output: Path) -> subprocess.Popen[bytes]:
    arguments = [settings.model_dump_json(), str(studies), str(output)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], env=environment)


@pytest.mark.parametrize("block, batch", [(1024, 4), (5, 1024)], ids=["within a block", "between blocks"])
def test_killed_and_resumed(few: Path, tmp_path: Path, block: int, batch: int) -> None:
    settings, log = logging_engine(tmp_path, 0.05, block, batch)
    undisturbed = run(settings, few, tmp_path / "undisturbed")[0].read_bytes()
    log.unlink()
    output = tmp_path / "killed" / "spa_Latn" / "x.parquet"
    process = child(settings, few, output)
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 2 * min(block, batch) + 2):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the engine's program outlives us by the rest of its call
    assert not output.exists()
    sentences = [f"Finding number {number} is seen." for number in range(30)]
    stored = in_store(settings, sentences, tmp_path / "killed" / ".store")
    assert len(stored) >= 2 * min(block, batch), "each call was stored when it was answered"
    assert child(settings, few, output).wait(60) == 0
    assert output.read_bytes() == undisturbed
    asked = Counter(log.read_text().splitlines())
    assert set(asked) == set(sentences)
    assert {asked[sentence] for sentence in stored} == {1}, "nothing that is stored is translated again"
    assert asked.total() - 30 <= min(block, batch), "at most the call under way is done again"


def in_store(settings: Translation, sentences: list[str], folder: Path) -> list[str]:
    """Those of some English sentences whose Spanish translations are stored."""
    digest = build(settings, settings.engine).digest("eng_Latn", "spa_Latn")
    keys = {sentence: key(digest, "eng_Latn", "spa_Latn", sentence) for sentence in sentences}
    with Store(folder / "translations.sqlite") as store:
        found = store.get(keys.values())
    return [sentence for sentence in sentences if keys[sentence] in found]


def test_two_jobs_at_once(few: Path, tmp_path: Path) -> None:
    settings, log = logging_engine(tmp_path, 0.02, block=4)
    outputs = [tmp_path / "both" / "spa_Latn" / f"{name}.parquet" for name in "ab"]
    assert [process.wait(60) for process in [child(settings, few, output) for output in outputs]] == [0, 0]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert set(Counter(log.read_text().splitlines()).values()) == {1}
    assert len(log.read_text().splitlines()) == 30


def test_one_of_two_jobs_is_killed(few: Path, tmp_path: Path) -> None:
    """The other takes over what the dead one had begun, and translates nothing that was stored."""
    block = 4
    settings, log = logging_engine(tmp_path, 0.05, block=block)
    outputs = [tmp_path / "both" / "spa_Latn" / f"{name}.parquet" for name in "ab"]
    first, second = (child(settings, few, output) for output in outputs)
    deadline = time.monotonic() + 30
    while (not log.exists() or len(log.read_text().splitlines()) < 6) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    assert second.wait(60) == 0
    asked = Counter(log.read_text().splitlines())
    assert len(asked) == 30
    assert asked.total() - 30 <= block, "at most the dead job's block is done again"
    frame = read_table(outputs[1], SENTENCES)
    assert list(frame["translation"]) == [source.upper() for source in frame["source"]]


def test_what_failed_is_tried_again(few: Path, tmp_path: Path) -> None:
    settings, log = logging_engine(tmp_path, 0.0, block=10)
    program = tmp_path / "program.py"
    right = program.read_text()
    program.write_text(right.replace("print(", "print('') if '17' in line else print("))
    first = read_table(run(settings, few, tmp_path)[0], SENTENCES).filter(pl.col("flags").list.contains("empty"))
    assert set(first["source"]) == {"Finding number 17 is seen."} and set(first["translation"]) == {""}
    log.unlink()
    again = read_table(run(settings, few, tmp_path)[0], SENTENCES)
    assert log.read_text().splitlines() == ["Finding number 17 is seen."]
    assert (
        again.filter(pl.col("flags").list.contains("empty"))["source"].unique().to_list()
        == first["source"].unique().to_list()
    )


def test_several_source_languages_and_engines(tmp_path: Path) -> None:
    memory = tmp_path / "memory.tsv"
    memory.write_text("Sin derrame.\tfra_Latn\tPas d'épanchement.\nNo effusion.\tfra_Latn\tPas d'épanchement.\n")
    rows = [study("a", "No effusion."), study("b", "Sin derrame.", "spa_Latn"), study("c", "Clair.", "fra_Latn")]
    write_table(STUDIES.frame(rows), tmp_path / "studies.parquet", STUDIES)
    settings = parse(
        Translation,
        {
            "engines": {"book": {"kind": "memory"}, "mine": {"kind": "memory", "file": str(memory)}},
            "engine": "book",
            "engines_by_language": {"fra_Latn": "mine"},
        },
    )
    frame = read_table(run(settings, tmp_path / "studies.parquet", tmp_path, "fra_Latn")[0], SENTENCES)
    assert list(frame.select("engine", "translation").iter_rows()) == [
        ("mine", "Pas d'épanchement."),
        ("mine", "Pas d'épanchement."),
        ("source", "Clair."),
    ]


def test_no_text_at_all(tmp_path: Path) -> None:
    write_table(STUDIES.frame([study("a", "")]), tmp_path / "studies.parquet", STUDIES)
    output, faults, summary = run(Translation(), tmp_path / "studies.parquet", tmp_path)
    assert read_table(output, SENTENCES).is_empty() and read_table(faults, FAULTS).is_empty()
    assert summary["sentences"] == 0


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_file_of_texts(tmp_path: Path, ending: str) -> None:
    pairs = dict(phrasebook.translations("spa_Latn"))
    one, two = list(pairs)[:2]
    texts, output = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    frame = pl.DataFrame({"study_id": ["NA", "007"], "text": [f"FINDINGS: {one} {two}", ""], "more": ["1", "2"]})
    if ending == ".parquet":
        frame.write_parquet(texts)
    else:
        frame.write_csv(texts, separator="," if ending == ".csv" else "\t")
    summary = translate_file(Translation(), texts, "spa_Latn", output)
    if ending == ".parquet":
        read = pl.read_parquet(output)
    else:
        read = pl.read_csv(output, separator="," if ending == ".csv" else "\t", infer_schema=False).fill_null("")
    assert read.to_dicts() == [
        {"study_id": "NA", "language": "spa_Latn", "text": f"{pairs[one]} {pairs[two]}"},
        {"study_id": "007", "language": "spa_Latn", "text": ""},
    ]
    assert (summary["texts"], summary["distinct"], summary["flags"]) == (2, 2, {})
    assert output.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_killed_goes_on(tmp_path: Path) -> None:
    settings, log = logging_engine(tmp_path, 0.05, 1024, batch=4)
    sentences = [f"Finding number {number} is seen." for number in range(30)]
    texts, output = tmp_path / "in.csv", tmp_path / "out.csv"
    texts.write_text("study_id,text\n" + "".join(f"s{number},{text}\n" for number, text in enumerate(sentences)))
    arguments = ["translate", str(texts), "--to", "spa_Latn", "-o", str(output), "--settings"]
    command = [sys.executable, "-m", "mmclip", *arguments, settings.model_dump_json()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 10):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.3)  # the engine's program outlives us by the rest of its call
    stored = in_store(settings, sentences, tmp_path / ".out.csv.store")
    assert not output.exists() and len(stored) >= 8
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
    asked = Counter(log.read_text().splitlines())
    assert set(asked) == set(sentences) and {asked[sentence] for sentence in stored} == {1}
    assert asked.total() - 30 <= 4
    assert pl.read_csv(output)["text"].to_list() == [sentence.upper() for sentence in sentences]
    assert not list(tmp_path.glob(".*")), "the store goes with the run that needed it"


def test_comparison(tmp_path: Path) -> None:
    memory = tmp_path / "memory.tsv"
    memory.write_text("A nodule of 9 mm.\tspa_Latn\tUn nódulo de 9 mm.\nNo effusion.\tspa_Latn\tSin derrame.\n")
    other = tmp_path / "other.tsv"
    other.write_text("A nodule of 9 mm.\tspa_Latn\tUn nódulo de 6 mm.\nNo effusion.\tspa_Latn\tSin derrame.\n")
    engines = {name: {"kind": "memory", "file": str(file)} for name, file in (("one", memory), ("two", other))}
    settings = parse(Translation, {"engines": engines, "engine": "one"})
    texts = tmp_path / "in.csv"
    texts.write_text("study_id,text\na,A nodule of 9 mm. No effusion.\n")
    comparison = translate_file(settings, texts, "spa_Latn", tmp_path / "out.csv", compare=("one", "two"))["comparison"]
    assert json.loads(json.dumps(comparison)) == comparison
    assert (comparison["same"], comparison["sentences"]) == (0.5, 2)
    assert 80 < comparison["chrf"] < 100
    assert comparison["engines"]["one"]["kept"] == {"numbers": {"share": 1.0, "of": 1}}
    assert comparison["engines"]["two"]["kept"] == {"numbers": {"share": 0.0, "of": 1}}


def test_mistakes_are_one_line(reports: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--to: 'es' is not a language of mmclip.*did you mean spa_Latn"):
        run(Translation(), reports, tmp_path, "es")
    with pytest.raises(UserError, match="--shard: 3 of 3 does not exist"):
        run(Translation(), reports, tmp_path, shard=3, shards=3)
    texts = tmp_path / "in.csv"
    texts.write_text("id,text\n1,No effusion.\n")
    with pytest.raises(UserError, match="column 'study_id' is missing; it has id, text"):
        translate_file(Translation(), texts, "spa_Latn", tmp_path / "out.csv")
    with pytest.raises(UserError, match="there is no engine 'deepl'"):
        texts.write_text("study_id,text\n1,No effusion.\n")
        translate_file(Translation(), texts, "spa_Latn", tmp_path / "out.csv", engine="deepl")
    with pytest.raises(UserError, match=r"ending '\.doc' is unknown"):
        translate_file(Translation(), tmp_path / "in.doc", "spa_Latn", tmp_path / "out.csv")


@pytest.mark.parametrize(
    "values, message",
    [
        ({"engine": "nllb"}, "there is no engine 'nllb'; engines: phrasebook"),
        ({"engines_by_language": {"spa_Latn": "nllb"}}, "engines_by_language.spa_Latn: there is no engine 'nllb'"),
        ({"engines_by_language": {"spanish": "phrasebook"}}, "'spanish' is not a language"),
        ({"engines": {"a": {"kind": "memory", "fallback": "a"}}, "engine": "a"}, "a -> a goes round in a circle"),
        ({"engines": {"a": {"kind": "command", "pipelines": {"spa_Latn": []}}}, "engine": "a"}, "at least one command"),
        ({"engines": {"a": {"kind": "telepathy"}}, "engine": "a"}, "engines.a: .*'telepathy'"),
        ({"engines": {"a": {"kind": "memory", "faults": {"rate": 2}}}, "engine": "a"}, "faults.rate"),
    ],
)
def test_settings_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(Translation, values, "config.yaml")


@pytest.mark.needs("apertium")
def test_apertium_fills_what_the_memory_does_not_know(tmp_path: Path) -> None:
    settings = parse(
        Translation,
        {
            "engines": {
                "book": {"kind": "memory", "fallback": "apertium"},
                "apertium": {"kind": "command", "pipelines": {"spa_Latn": ["apertium -u eng-spa"]}},
            },
            "engine": "book",
        },
    )
    known, translation = next(phrasebook.translations("spa_Latn"))
    rows = [study("a", f"{known} Nobody wrote that the dog is red.")]
    write_table(STUDIES.frame(rows), tmp_path / "studies.parquet", STUDIES)
    frame = read_table(run(settings, tmp_path / "studies.parquet", tmp_path)[0], SENTENCES)
    faulty = read_table(tmp_path / "spa_Latn" / "x-000.faults.parquet", FAULTS)
    assert frame["translation"][0] == translation or faulty.height == 1
    assert "perro" in frame["translation"][1]
