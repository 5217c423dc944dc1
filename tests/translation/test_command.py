"""Programs behind lines: good ones, dying, hanging and unreliable ones, and Apertium itself."""

import sys
import time
from pathlib import Path

import pytest

from mmclip.config import translation as config
from mmclip.errors import UserError
from mmclip.translation.command import Command
from mmclip.translation.engine import Translated

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
        assert texts(command.translate(GOOD, "eng_Latn", "spa_Latn")) == [line.upper() for line in GOOD]
    command.close()


def test_a_chain_of_programs(tmp_path: Path) -> None:
    second = tmp_path / "second.py"
    second.write_text("import sys\nfor line in sys.stdin: print(line.strip()[::-1])")
    command = engine(program(tmp_path, "pass"), f"{sys.executable} {second}")
    assert texts(command.translate(["abc", "de f"], "eng_Latn", "spa_Latn")) == ["CBA", "F ED"]


def test_more_text_than_a_pipe_holds(tmp_path: Path) -> None:
    lines = [f"{number} " + "long " * 400 for number in range(300)]
    found = engine(program(tmp_path, "pass")).translate(lines, "eng_Latn", "spa_Latn")
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
    found = command.translate(lines, "eng_Latn", "spa_Latn")
    command.close()
    assert found[2] == Translated("", ("empty",))
    assert texts(found[:2] + found[3:]) == [line.upper() for line in GOOD[:5]]


def test_markers_find_answers_that_have_slipped(tmp_path: Path) -> None:
    slipping = "if 'bad' in line: continue\n    if 'sentence 9' in line: print('MORE')"
    lines = ["bad one", *GOOD]
    plain = engine(program(tmp_path, slipping)).translate(lines, "eng_Latn", "spa_Latn")
    assert plain[1].text != GOOD[0].upper(), "as many lines, but each belongs to its neighbour"
    found = engine(program(tmp_path, slipping), markers=True).translate(lines, "eng_Latn", "spa_Latn")
    right = ["" if line in ("bad one", "sentence 9") else line.upper() for line in lines]
    assert texts(found) == right


def test_a_persistent_program_that_died_is_started_again(tmp_path: Path) -> None:
    command = engine(program(tmp_path, "if 'last' in line: print('LAST'); sys.exit()"), persistent=True, timeout=2.0)
    assert texts(command.translate(["one"], "eng_Latn", "spa_Latn")) == ["ONE"]
    command.translate(["last"], "eng_Latn", "spa_Latn")
    time.sleep(0.1)
    assert texts(command.translate(["two"], "eng_Latn", "spa_Latn")) == ["TWO"]
    command.close()


def test_flags(tmp_path: Path) -> None:
    echo = engine(f"{sys.executable} -c 'import sys; sys.stdout.write(sys.stdin.read())'")
    found = echo.translate(["No effusion.", "edema"], "eng_Latn", "spa_Latn")
    assert [translated.flags for translated in found] == [("copy",), ()]


def test_a_program_that_always_fails_is_an_error() -> None:
    command = engine(f"{sys.executable} -c 'raise SystemExit(7)'")
    with pytest.raises(UserError, match=r"fails on every sentence .*exit status 7"):
        command.translate(GOOD, "eng_Latn", "spa_Latn")


def test_mistakes_are_one_line() -> None:
    with pytest.raises(UserError, match="'no-such-program' cannot be started"):
        engine("no-such-program -x").translate(GOOD, "eng_Latn", "spa_Latn")
    with pytest.raises(UserError, match="no pipeline for deu_Latn"):
        engine("cat").translate(GOOD, "eng_Latn", "deu_Latn")


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
    spanish = command.translate(lines, "eng_Latn", "spa_Latn")
    assert spanish == spanish[:3] * 20
    assert texts(spanish[:2]) == ["Medida de corazón es normal.", "Los pulmones son claros."]
    assert "1.5 cm" in spanish[2].text
    italian = command.translate(lines[:3], "eng_Latn", "ita_Latn")
    assert texts(italian)[1] == "I polmoni sono chiari."
