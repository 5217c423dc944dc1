"""Programs behind lines: good ones, dying, hanging and unreliable ones, and Apertium itself."""

import sys
import time
from pathlib import Path

import pytest

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation import command as module
from mmclip.translation.command import Command
from mmclip.translation.engine import Translated
from tests.translation.fakes import translate_all

PROGRAM = """
import sys, time
for line in sys.stdin:
    line = line.rstrip("\\n")
    {before}
    print(line.upper(), flush=True)
"""


def program(folder: Path, before: str, name: str = "program.py") -> str:
    """A command line of a script that upper-cases each line after doing something with it."""
    path = folder / name
    path.write_text(PROGRAM.format(before=before))
    return f"{sys.executable} {path}"


def engine(*commands: str, **options: object) -> Command:
    return Command("test", config.Command(kind="command", pipelines={"spa_Latn": list(commands)}, **options))


def texts(results: list[Translated]) -> list[str]:
    return [translated.text for translated in results]


GOOD = [f"sentence {number}" for number in range(12)]


@pytest.mark.parametrize("options", [{}, {"markers": True}, {"persistent": True}])
def test_lines_in_lines_out(tmp_path: Path, options: dict[str, bool]) -> None:
    command = engine(program(tmp_path, "pass"), **options)
    for _ in range(2):
        assert texts(translate_all(command, GOOD, "eng_Latn", "spa_Latn")) == [line.upper() for line in GOOD]
    command.close()


def test_a_chain_of_programs(tmp_path: Path) -> None:
    second = tmp_path / "second.py"
    second.write_text("import sys\nfor line in sys.stdin: print(line.strip()[::-1])")
    command = engine(program(tmp_path, "pass"), f"{sys.executable} {second}")
    assert texts(translate_all(command, ["abc", "de f"], "eng_Latn", "spa_Latn")) == ["CBA", "F ED"]


def test_more_text_than_a_pipe_holds(tmp_path: Path) -> None:
    lines = [f"{number} " + "long " * 400 for number in range(300)]
    found = translate_all(engine(program(tmp_path, "pass")), lines, "eng_Latn", "spa_Latn")
    assert texts(found) == [" ".join(line.upper().split()) for line in lines]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize(
    "before",
    [
        "if 'bad' in line: sys.exit(3)",
        "if 'bad' in line: time.sleep(60)",
        "if 'bad' in line: continue",
        "if 'bad' in line: print('too much')",
        "if 'bad' in line: sys.stdout.buffer.write(b'\\xff\\n'); continue",
    ],
    ids=["dies", "hangs", "swallows", "says more", "no UTF-8"],
)
def test_only_the_bad_sentence_is_lost(tmp_path: Path, before: str, persistent: bool) -> None:
    lines = [*GOOD[:2], "bad one", *GOOD[2:5]]
    command = engine(program(tmp_path, before), persistent=persistent, timeout=1.0, timeout_per_sentence=0.0)
    found = translate_all(command, lines, "eng_Latn", "spa_Latn")
    command.close()
    assert found[2] == Translated("", ("empty",))
    assert texts(found[:2] + found[3:]) == [line.upper() for line in GOOD[:5]]


COUNTING = """
import sys
lines = sys.stdin.read().splitlines()
with open({log!r}, "a") as log:
    print(len(lines), file=log)
print(*map(str.upper, lines), sep="\\n")
"""


@pytest.mark.parametrize(
    "quick, slow, batch, calls",
    [
        (60.0, 60.0, 1024, [32, 128, 512, 88]),
        (60.0, 60.0, 40, [32, 40, 40, 40, 8]),
        (0.0, 60.0, 1024, [32, 32, 32, 5]),
        (0.0, 0.0, 1024, [32, 16, 8, 4, 2, 1, 1, 1]),
    ],
    ids=["quick", "quick, and bounded", "neither", "slow"],
)
def test_a_call_takes_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: float, slow: float, batch: int, calls: list[int]
) -> None:
    monkeypatch.setattr(module, "_QUICK", quick)
    monkeypatch.setattr(module, "_SLOW", slow)
    log, script = tmp_path / "calls.log", tmp_path / "program.py"
    script.write_text(COUNTING.format(log=str(log)))
    command = engine(f"{sys.executable} {script}", batch=batch)
    sentences = [f"sentence {number}" for number in range(sum(calls))]
    parts = list(command.translate(sentences, "eng_Latn", "spa_Latn"))
    assert [len(part) for part in parts] == calls, "each call is handed on by itself"
    assert [int(line) for line in log.read_text().split()] == calls


def test_what_was_answered_is_handed_on_before_a_failure(tmp_path: Path) -> None:
    lines = [*GOOD[:4], "bad one", *GOOD[4:7]]
    parts = engine(program(tmp_path, "if 'bad' in line: sys.exit(3)")).translate(lines, "eng_Latn", "spa_Latn")
    assert [sorted(part) for part in parts] == [[0, 1, 2, 3], [4], [5], [6, 7]]


def test_markers_find_answers_that_have_slipped(tmp_path: Path) -> None:
    slipping = "if 'bad' in line: continue\n    if 'sentence 9' in line: print('MORE')"
    lines = ["bad one", *GOOD]
    plain = translate_all(engine(program(tmp_path, slipping)), lines, "eng_Latn", "spa_Latn")
    assert plain[1].text != GOOD[0].upper(), "as many lines, but each belongs to its neighbour"
    found = translate_all(engine(program(tmp_path, slipping), markers=True), lines, "eng_Latn", "spa_Latn")
    right = ["" if line in ("bad one", "sentence 9") else line.upper() for line in lines]
    assert texts(found) == right


def test_a_persistent_program_that_died_is_started_again(tmp_path: Path) -> None:
    command = engine(program(tmp_path, "if 'last' in line: print('LAST'); sys.exit()"), persistent=True, timeout=2.0)
    assert texts(translate_all(command, ["one"], "eng_Latn", "spa_Latn")) == ["ONE"]
    translate_all(command, ["last"], "eng_Latn", "spa_Latn")
    time.sleep(0.1)
    assert texts(translate_all(command, ["two"], "eng_Latn", "spa_Latn")) == ["TWO"]
    command.close()


def test_flags(tmp_path: Path) -> None:
    echo = engine(f"{sys.executable} -c 'import sys; sys.stdout.write(sys.stdin.read())'")
    found = translate_all(echo, ["No effusion.", "edema"], "eng_Latn", "spa_Latn")
    assert [translated.flags for translated in found] == [("copy",), ()]


def test_a_program_that_always_fails_is_an_error() -> None:
    command = engine(f"{sys.executable} -c 'raise SystemExit(7)'")
    with pytest.raises(UserError, match=r"fails on every sentence .*exit status 7"):
        translate_all(command, GOOD, "eng_Latn", "spa_Latn")


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match="'no-such-program' cannot be started"):
        translate_all(engine("no-such-program -x"), GOOD, "eng_Latn", "spa_Latn")
    with pytest.raises(UserError, match="no pipeline for deu_Latn"):
        translate_all(engine("cat"), GOOD, "eng_Latn", "deu_Latn")


def test_digest_follows_the_program(tmp_path: Path) -> None:
    command = program(tmp_path, "pass")
    before = engine(command).digest("eng_Latn", "spa_Latn")
    assert engine(command, timeout=5.0).digest("eng_Latn", "spa_Latn") == before
    program(tmp_path, "line = line[::-1]")
    assert engine(command).digest("eng_Latn", "spa_Latn") != before


@pytest.mark.needs("apertium")
@pytest.mark.parametrize("markers", [False, True])
def test_apertium(markers: bool) -> None:
    pipelines = {"spa_Latn": ["apertium -u eng-spa"], "ita_Latn": ["apertium -u eng-spa", "apertium -u spa-ita"]}
    command = Command("apertium", config.Command(kind="command", pipelines=pipelines, markers=markers))
    lines = ["Heart size is normal.", "The lungs are clear.", "A nodule of 1.5 cm is new."] * 20
    spanish = translate_all(command, lines, "eng_Latn", "spa_Latn")
    assert spanish == spanish[:3] * 20
    assert texts(spanish[:2]) == ["Medida de corazón es normal.", "Los pulmones son claros."]
    assert "1.5 cm" in spanish[2].text
    italian = translate_all(command, lines[:3], "eng_Latn", "ita_Latn")
    assert texts(italian)[1] == "I polmoni sono chiari."
