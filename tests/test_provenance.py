"""Digests of code: what they cover, and what they are blind to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmclip import provenance
from mmclip.provenance import Stage

FILES = {
    "mmclip/__init__.py": '"""The package."""\n',
    "mmclip/languages.py": '"""Languages."""\n\nENGLISH = "eng_Latn"\n',
    "mmclip/errors.py": "class UserError(Exception):\n    pass\n",
    "mmclip/tables/__init__.py": "",
    "mmclip/tables/files.py": "from mmclip.errors import UserError\n\n\ndef write(path):\n    raise UserError(path)\n",
    "mmclip/models/__init__.py": "",
    "mmclip/models/tower.py": "import numpy\n\nWIDTH = 8\n",
    "mmclip/translation/__init__.py": "",
    "mmclip/translation/engine.py": """from typing import TYPE_CHECKING

from ..languages import ENGLISH

if TYPE_CHECKING:
    from mmclip.models.tower import WIDTH
""",
    "mmclip/translation/stage.py": '''"""Translate."""

import os

from . import engine
from mmclip.tables import files


def translate(text):
    """Translate a text."""
    from mmclip.translation.late import rest

    return rest(text)  # a comment
''',
    "mmclip/translation/late.py": "def rest(text):\n    return text\n",
    "mmclip/translation/unused.py": "import mmclip.models.tower\n",
    "mmclip/translation/book.yaml": "a: 1\n",
}

STAGES = {"translate": Stage(("mmclip.translation.stage",), ("mmclip/translation/*.yaml",))}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package in place of mmclip."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(provenance, "STAGES", STAGES)
    yield tmp_path
    forget()


def forget() -> None:
    """Clear what the module keeps of files that it has read."""
    for function in (provenance.digest, provenance._parsed):
        function.cache_clear()


def digest(*modules: str) -> str:
    forget()
    return provenance.digest("translate", modules)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_closure(package: Path) -> None:
    found = {str(file.relative_to(package)) for file in provenance.closure(("mmclip.translation.stage",))}
    assert found == {
        "mmclip/__init__.py",
        "mmclip/errors.py",
        "mmclip/languages.py",
        "mmclip/tables/__init__.py",
        "mmclip/tables/files.py",
        "mmclip/translation/__init__.py",
        "mmclip/translation/engine.py",
        "mmclip/translation/late.py",
        "mmclip/translation/stage.py",
    }


STAGE, LATE, ERRORS = "mmclip/translation/stage.py", "mmclip/translation/late.py", "mmclip/errors.py"

UNSEEN = {
    "a comment": (STAGE, "# a comment", "# another comment"),
    "a docstring": (STAGE, '"""Translate a text."""', '"""Translates one text,\n\n    and says so.\n    """'),
    "the module's docstring": (STAGE, '"""Translate."""', '"""Translation."""'),
    "formatting": (STAGE, "def translate(text):", "def translate(\n    text,\n):"),
    "quotes": ("mmclip/languages.py", '"eng_Latn"', "'eng_Latn'"),
    "a module that is not imported": ("mmclip/translation/unused.py", "tower", "tower as t"),
    "another package": ("mmclip/models/tower.py", "8", "9"),
}

SEEN = {
    "logic": (STAGE, "return rest(text)", "return rest(text + 'x')"),
    "an import inside a function": (LATE, "return text", "return text.lower()"),
    "a shared module": (ERRORS, "pass", "code = 1"),
    "a constant": ("mmclip/languages.py", "eng_Latn", "deu_Latn"),
    "an __init__": ("mmclip/tables/__init__.py", "", "X = 1\n"),
    "a data file": ("mmclip/translation/book.yaml", "1", "2"),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_blind_to(package: Path, case: str) -> None:
    before = digest()
    name, old, new = UNSEEN[case]
    edit(package / name, old, new)
    assert digest() == before


@pytest.mark.parametrize("case", SEEN)
def test_sees(package: Path, case: str) -> None:
    before = digest()
    name, old, new = SEEN[case]
    edit(package / name, old, new)
    assert digest() != before


def test_sees_a_string_that_is_no_docstring(package: Path) -> None:
    edit(package / LATE, "return text", 'text = "a"\n    return text')
    before = digest()
    edit(package / LATE, '"a"', '"b"')
    assert digest() != before


def test_sees_new_renamed_and_removed_data_files(package: Path) -> None:
    digests = [digest()]
    book = package / "mmclip/translation/book.yaml"
    (package / "mmclip/translation/more.yaml").write_text("b: 1\n")
    digests.append(digest())
    (package / "mmclip/translation/more.yaml").rename(package / "mmclip/translation/renamed.yaml")
    digests.append(digest())
    book.unlink()
    digests.append(digest())
    assert len(set(digests)) == 4


def test_modules_by_name_count(package: Path) -> None:
    assert digest("mmclip.models.tower") != digest()
    before = digest("mmclip.models.tower")
    edit(package / "mmclip/models/tower.py", "8", "9")
    assert digest("mmclip.models.tower") != before


def test_the_folder_does_not_count(package: Path, tmp_path_factory: pytest.TempPathFactory,
                                   monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    before = digest()
    other = tmp_path_factory.mktemp("other")
    for name, text in FILES.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(text)
    monkeypatch.setattr(provenance, "ROOT", other)
    assert digest() == before


# --- the real stages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", provenance.STAGES)
def test_modules_and_data_exist(stage: str) -> None:
    for module in provenance.STAGES[stage].modules:
        assert provenance.module_file(module), module
    for pattern in provenance.STAGES[stage].data:
        assert provenance.data_files([pattern]), pattern
    assert len(provenance.digest(stage)) == 16


def test_every_data_file_belongs_to_a_stage() -> None:
    known = {file for stage in provenance.STAGES.values() for file in provenance.data_files(stage.data)}
    folder = provenance.ROOT / "mmclip"
    there = {file for file in folder.rglob("*") if file.suffix in (".yaml", ".j2", ".css", ".js", ".html", ".json")}
    # The phrase book's review sheet is written by hand (`mmclip validate phrasebook`), by no rule.
    assert there - known == {folder / "phantom/sheet.html.j2"}


def test_a_module_that_reads_a_data_file_is_in_a_stage_with_that_file() -> None:
    readers = {
        "mmclip/phantom/phrasebook.py": "mmclip/phantom/frames.yaml",
        "mmclip/filtering/cues.py": "mmclip/filtering/cues/eng_Latn.yaml",
        "mmclip/filtering/sheet.py": "mmclip/filtering/sheet.html.j2",
        "mmclip/labeling/rules.py": "mmclip/labeling/rules/eng_Latn.yaml",
        "mmclip/report/page.py": "mmclip/report/templates/report.html.j2",
        "mmclip/search/stage.py": "mmclip/search/templates/search.html.j2",
    }
    for name, stage in provenance.STAGES.items():
        code = {str(file.relative_to(provenance.ROOT)) for file in provenance.closure(stage.modules)}
        data = {str(file.relative_to(provenance.ROOT)) for file in provenance.data_files(stage.data)}
        for module, file in readers.items():
            assert module not in code or file in data, f"stage {name} imports {module} and must name {file}"


def test_only_what_a_stage_uses() -> None:
    """What an edit must not rerun: models do not retranslate, objectives do not relabel, and so on."""
    for stage, foreign in {
        "ingest": ("models", "objectives", "ops", "translation", "training", "metrics"),
        "translate": ("models", "objectives", "ops", "training", "metrics", "filtering", "labeling"),
        "filter": ("models", "objectives", "ops", "training", "metrics", "translation", "labeling"),
        "label": ("models", "objectives", "ops", "training", "metrics", "translation", "filtering"),
        "disambiguate": ("models", "objectives", "ops", "training", "metrics", "translation", "filtering"),
        "pretrain": ("evaluation", "metrics", "translation", "filtering", "labeling", "phantom", "report"),
        "evaluate": ("objectives", "ops", "training", "translation", "filtering", "labeling", "report"),
        "report": ("models", "objectives", "ops", "training", "translation", "filtering", "labeling"),
    }.items():
        packages = {
            file.relative_to(provenance.ROOT).parts[1] for file in provenance.closure(provenance.STAGES[stage].modules)
        }
        assert not packages & {*foreign}, stage


def test_an_objective_counts_only_where_it_is_named() -> None:
    files = {str(file.relative_to(provenance.ROOT)) for file in provenance.closure(("mmclip.training.stage",))}
    assert not files & {f"mmclip/objectives/{name}.py" for name in ("clip", "medclip", "three_m_clip")}
    assert provenance.digest("pretrain", ("mmclip.objectives.clip",)) != provenance.digest("pretrain")


def test_only_the_standard_library() -> None:
    """The workflow imports them each time it is planned, with whatever Python runs Snakemake."""
    code = (
        "import sys; before = set(sys.modules); import mmclip.provenance, mmclip.liveness; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'mmclip'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
