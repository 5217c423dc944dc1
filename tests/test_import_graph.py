"""Who may import whom: a stage never imports another, what they share is shared, and nothing heavy loads early."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mmclip import provenance

ROOT = provenance.ROOT
STAGES = {
    "ingest", "imaging", "translation", "filtering", "labeling", "training", "evaluation", "report", "search",
}  # fmt: skip
SHARED = {"config", "tables", "data", "models", "objectives", "metrics", "ops", "phantom"}
ABOVE = {"cli", "commands", "run", "lifeline", "doctor", "plan", "fetch", "__main__"}
"""What stands above the stages: they and the shared packages never import it."""
BASE = {"errors", "languages", "observations", "sentences", "processes", "provenance", "liveness", "model_files"}
"""Single modules that all share."""

MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "mmclip").rglob("*.py"))
}


def topics(names: set[str]) -> set[str]:
    """Top-level packages and modules of mmclip among imported names."""
    return {name.split(".")[1] for name in names if name.startswith("mmclip.")}


def imported(module: str) -> set[str]:
    """Modules of mmclip that a module imports itself."""
    return {name for name in provenance.imports(MODULES[module], module) if name in MODULES}


def test_every_module_has_its_place() -> None:
    assert topics(set(MODULES)) == STAGES | SHARED | ABOVE | BASE


@pytest.mark.parametrize("topic", sorted(STAGES))
def test_a_stage_imports_no_other_stage(topic: str) -> None:
    for module in MODULES:
        if module.startswith(f"mmclip.{topic}"):
            assert topics(imported(module)) <= {topic} | SHARED | BASE, module


@pytest.mark.parametrize("topic", sorted(SHARED | BASE))
def test_what_is_shared_imports_no_stage(topic: str) -> None:
    for module in MODULES:
        if module == f"mmclip.{topic}" or module.startswith(f"mmclip.{topic}."):
            assert topics(imported(module)) <= SHARED | BASE, module


COLLECTIVE = re.compile(
    r"\bdist\.(get_rank|get_world_size|all_\w+|reduce\w*|broadcast\w*|gather\w*|scatter\w*|barrier|init_\w+)\("
)


def test_only_distributed_modules_know_ranks() -> None:
    knowing = {module for module, file in MODULES.items() if COLLECTIVE.search(file.read_text())}
    assert knowing == {"mmclip.ops.collectives", "mmclip.ops.distributed", "mmclip.training.distributed"}


@pytest.mark.parametrize("package", sorted(name for name, file in MODULES.items() if file.name == "__init__.py"))
def test_inits_import_nothing(package: str) -> None:
    """An import there would be part of every stage that uses anything of the package."""
    assert not imported(package) - {package}


IMPORTS_FOREIGN_WEIGHTS = "mmclip.models.unpickle"
"""The one module that opens others' checkpoints, with torch's restricted reader."""


def test_no_pickle_no_unsafe_yaml() -> None:
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "dill", "joblib", "cloudpickle"} & {*names}, module
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                called = f"{node.value.id}.{node.attr}"
                if called == "torch.load" and module == IMPORTS_FOREIGN_WEIGHTS:
                    continue
                assert called not in ("torch.load", "torch.save", "yaml.unsafe_load", "yaml.full_load"), module


def test_foreign_checkpoints_are_read_as_data_alone() -> None:
    """One call, with the restriction written out; and no function of mmclip but a command uses the module."""
    calls = [
        node
        for node in ast.walk(ast.parse(MODULES[IMPORTS_FOREIGN_WEIGHTS].read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert [{k.arg: ast.unparse(k.value) for k in call.keywords}["weights_only"] for call in calls] == ["True"]
    users = {module for module in MODULES if IMPORTS_FOREIGN_WEIGHTS in imported(module)}
    assert users == {"mmclip.commands.models"}


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


HEAVY = "{'torch', 'transformers', 'timm', 'polars', 'pyarrow', 'numpy', 'sklearn', 'pydantic', 'snakemake'}"


@pytest.mark.parametrize("module", ["mmclip", "mmclip.cli"])
def test_import_is_light(module: str) -> None:
    assert run(f"import sys, {module}; print(sorted({HEAVY} & set(sys.modules)))") == "[]"


def test_help_is_fast() -> None:
    """By processor time, which a busy machine stretches far less than the clock's."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "mmclip", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 1.0


def test_public_names_resolve() -> None:
    assert run("from mmclip import DualEncoder; print(DualEncoder.__name__)") == "DualEncoder"


def test_modules_stay_small() -> None:
    long = {module: n for module, file in MODULES.items() if (n := len(file.read_text().splitlines())) > 300}
    assert not long


def test_no_module_is_a_drawer() -> None:
    names = {file.stem for file in Path(ROOT / "mmclip").rglob("*") if file.suffix == ".py" or file.is_dir()}
    assert not names & {"utils", "util", "common", "misc", "helpers"}
