"""What code and data a stage consists of, as a digest.

A rule of the workflow carries the digest of its stage as a parameter, so that an edit reruns the stages it touches and
no other. The digest covers the stage's entry module and everything of mmclip that it imports, directly or not, without
comments, formatting and docstrings; and the data files that the stage reads. Standard library only: the Snakefile
imports this module each time the workflow is planned.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmclip.model_files import model_files

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds the package: a checkout, or site-packages."""


@dataclass(frozen=True)
class Stage:
    """Entry modules of a stage, and glob patterns (from :data:`ROOT`) of the data files it reads."""

    modules: tuple[str, ...]
    data: tuple[str, ...] = ()


FRAMES = "mmclip/phantom/frames.yaml"
PHRASE_BOOK = (FRAMES, "mmclip/phantom/phrasebook/*.yaml")

STAGES: dict[str, Stage] = {
    "ingest": Stage(("mmclip.ingest.stage",), (FRAMES, "mmclip/phantom/phrasebook/eng_Latn.yaml")),
    "pack": Stage(("mmclip.imaging.stage",)),
    "translate": Stage(("mmclip.translation.stage",), PHRASE_BOOK),
    "filter": Stage(("mmclip.filtering.stage",), ("mmclip/filtering/cues/*.yaml",)),
    "draw_thresholds": Stage(("mmclip.filtering.thresholds",), ("mmclip/filtering/cues/*.yaml",)),
    "measure_filter": Stage(("mmclip.filtering.measure",)),
    "validate": Stage(("mmclip.filtering.validation",), ("mmclip/filtering/sheet.html.j2",)),
    "judge": Stage(("mmclip.filtering.judge",)),
    "agreement": Stage(("mmclip.filtering.agreement",)),
    "label": Stage(("mmclip.labeling.stage",), ("mmclip/labeling/rules/*.yaml",)),
    "disambiguate": Stage(("mmclip.labeling.disambiguate",)),
    "pretrain_text": Stage(("mmclip.training.text_stage",)),
    "pretrain": Stage(("mmclip.training.stage",)),
    "predict_labels": Stage(("mmclip.training.classify_stage",)),
    "benchmark": Stage(("mmclip.evaluation.benchmark",), PHRASE_BOOK),
    "evaluate": Stage(("mmclip.evaluation.stage",)),
    "release": Stage(("mmclip.models.release",)),
    "report": Stage(("mmclip.report.stage",), ("mmclip/report/templates/*", *PHRASE_BOOK)),
    "plan": Stage(("mmclip.plan",)),
    "reproduce_3mclip": Stage(("mmclip.report.reproduction",), ("mmclip/report/published.yaml",)),
    "search": Stage(("mmclip.search.stage",), ("mmclip/search/templates/*",)),
    "build": Stage(("mmclip.ops.stage",), ("csrc/**/*",)),
}


@functools.cache
def digest(stage: str, modules: tuple[str, ...] = ()) -> str:
    """The digest of a stage's code and data, 16 hexadecimal digits.

    Args:
        stage: a key of :data:`STAGES`.
        modules: further modules that this use of the stage loads by name (the objectives of an experiment).
    """
    entry = STAGES[stage]
    total = hashlib.sha256()
    for file in closure((*entry.modules, *modules)):
        total.update(f"{file.relative_to(ROOT)}\0{_parsed(file)[0]}\n".encode())
    for file in data_files(entry.data):
        total.update(f"{file.relative_to(ROOT)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


@functools.cache
def model_digest(folder: Path) -> str:
    """The digest of a model's folder: names and contents of its files. About 1.6 GB a second."""
    total = hashlib.sha256()
    for file in model_files(folder):
        with file.open("rb") as handle:
            total.update(f"{file.name}\0{hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def data_files(patterns: Sequence[str]) -> list[Path]:
    """The files that the patterns match, sorted."""
    return sorted(file for pattern in patterns for file in ROOT.glob(pattern) if file.is_file())


def closure(modules: Sequence[str]) -> list[Path]:
    """Files of mmclip that the modules import, directly or not, the modules' own and their packages' included, sorted.

    Imports inside functions count as well. A module that is found at run time by its name does not: whoever loads
    one names it to :func:`digest`.
    """
    seen: set[str] = set()
    files: set[Path] = set()
    todo = list(modules)
    while todo:
        parts = todo.pop().split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in seen or parts[0] != "mmclip":
                continue
            seen.add(name)
            file = module_file(name)
            if file is not None:
                files.add(file)
                todo.extend(imports(file, name))
    return sorted(files)


def module_file(name: str) -> Path | None:
    """The file of a module or package of mmclip, or None where `name` is something inside a module."""
    base = ROOT.joinpath(*name.split("."))
    for file in (base / "__init__.py", base.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def imports(file: Path, name: str) -> Iterator[str]:
    """Names that a module imports, made absolute; ``from a import b`` yields both ``a`` and ``a.b``.

    What stands under ``if TYPE_CHECKING:`` is never executed and does not count.
    """
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in _parsed(file)[1]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@functools.cache
def _parsed(file: Path) -> tuple[str, list[ast.Import | ast.ImportFrom]]:
    """Hash of a module's syntax tree without docstrings, and its import statements."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    found: list[ast.Import | ast.ImportFrom] = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        match node:
            case ast.Import() | ast.ImportFrom():
                found.append(node)
            case ast.Expr(value=ast.Constant(value=str())):
                node.value = ast.Constant("")
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                todo.extend(node.orelse)
            case ast.stmt() | ast.Module() | ast.ExceptHandler() | ast.match_case():
                todo.extend(ast.iter_child_nodes(node))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), found
