"""What an edit repeats: each edit of a checkout with its finished results, and the jobs that Snakemake would run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workflow import tiny
from tests.workflow.tiny import CONFIG

Job = tuple[str, str]
"""A rule and its wildcards as text."""


@pytest.fixture(scope="module")
def copy(tiny_run: Path, frozen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the results of a finished run below ``work``."""
    root = tmp_path_factory.mktemp("copy") / "checkout"
    shutil.copytree(frozen, root)
    shutil.copytree(tiny_run, root / "work")
    return root


@pytest.fixture
def checkout(copy: Path) -> Iterator[Path]:
    """The copy; what a test edits by :func:`edit` is put back."""
    before = {file: file.read_bytes() for folder in ("mmclip", "csrc", "tests/config", "workflow")
              for file in (copy / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts}  # fmt: skip
    yield copy
    for file, content in before.items():
        if file.read_bytes() != content:
            file.write_bytes(content)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file} does not hold {old!r} any more: choose another edit"
    file.write_text(text.replace(old, new, 1))


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def planned(checkout: Path) -> set[Job]:
    """The jobs that a run would start."""
    done = tiny.run(checkout / "work", "--dry-run", checkout=checkout)
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = set()
    for block in re.split(r"\n(?=\[|rule |localrule )", done.stdout):
        if match := re.search(r"^(?:local)?rule (\w+):", block, re.MULTILINE):
            wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
            jobs.add((match[1], wildcards[1] if wildcards else ""))
    return jobs - {("all", "")}


def rules(jobs: set[Job]) -> set[str]:
    return {rule for rule, _ in jobs}


def of(jobs: set[Job], rule: str) -> list[str]:
    return sorted(wildcards for name, wildcards in jobs if name == rule)


TRAINED = {"pretrain", "evaluate", "release", "search", "report"}
TEXTS = {"pretrain_text", *TRAINED}
FILTERED = {"draw_thresholds", "filter", "measure_filter", "validate", *TEXTS}
LOGIC = "\n\nMORE_LOGIC = 1\n"

TABLE: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "nothing": (lambda root: None, set()),
    "a comment and a docstring in every module": (
        lambda root: [append(file, "\n# a remark\n") for file in (root / "mmclip").rglob("*.py")],  # type: ignore[func-returns-value]
        set(),
    ),
    "the time stamps of every module": (
        lambda root: [file.touch() for file in (root / "mmclip").rglob("*.py")],  # type: ignore[func-returns-value]
        set(),
    ),
    "the ingest's logic": (
        lambda root: append(root / "mmclip/ingest/splits.py", LOGIC),
        tiny.STAGES - {"build"},
    ),
    "the translation's logic": (
        lambda root: append(root / "mmclip/translation/once.py", LOGIC),
        {"translate", *FILTERED},
    ),
    "a wording of the phrase book": (
        lambda root: append(root / "mmclip/phantom/phrasebook/spa_Latn.yaml", "\n# a remark counts in data\n"),
        {"translate", "benchmark", *FILTERED},
    ),
    "the filter's logic": (lambda root: append(root / "mmclip/filtering/scoring.py", LOGIC), FILTERED),
    "the filter's cue words": (lambda root: append(root / "mmclip/filtering/cues/spa_Latn.yaml", "\n# x\n"), FILTERED),
    "the drawing of the sample": (lambda root: append(root / "mmclip/filtering/validation.py", LOGIC), {"validate"}),
    "the labeler's rules": (
        lambda root: append(root / "mmclip/labeling/rules/eng_Latn.yaml", "\n# x\n"),
        {"label", "predict_labels", "disambiguate", *TRAINED},
    ),
    "the policies' logic": (
        lambda root: append(root / "mmclip/labeling/policies.py", LOGIC),
        {"disambiguate", *TRAINED},
    ),
    "the models": (
        lambda root: append(root / "mmclip/models/projection.py", LOGIC),
        TRAINED,
    ),
    "the label classifier": (
        lambda root: append(root / "mmclip/models/label_classifier.py", LOGIC),
        {"predict_labels", "disambiguate", *TRAINED},
    ),
    "language modelling": (lambda root: append(root / "mmclip/training/text.py", LOGIC), TEXTS - {"search"}),
    "the C++ sources": (lambda root: append(root / "csrc/ops.cpp", "\n// x\n"), {"build", *TRAINED}),
    "a metric": (
        lambda root: append(root / "mmclip/metrics/retrieval.py", LOGIC),
        TRAINED - {"pretrain", "search"},
    ),
    "the report's page": (lambda root: append(root / "mmclip/report/templates/style.css", "\n"), {"report"}),
    "the search page": (lambda root: append(root / "mmclip/search/templates/search.css", "\n"), {"search"}),
    "a threshold in the config": (
        lambda root: edit(root / CONFIG, "translate:", "filter: {thresholds: {min_ttr: 0.31}}\n\ntranslate:"),
        FILTERED,
    ),
    "resources": (
        lambda root: edit(root / "workflow/rules/filter.smk", "mem_mb=4000", "mem_mb=5000"),
        set(),
    ),
    "the command line": (lambda root: append(root / "mmclip/commands/texts.py", LOGIC), set()),
}
"""Edit -> the rules that run again, among them at most these."""


@pytest.mark.parametrize("case", TABLE)
def test_an_edit_repeats(checkout: Path, case: str) -> None:
    change, expected = TABLE[case]
    change(checkout)
    assert rules(planned(checkout)) == expected


def test_an_objective_repeats_its_experiments(checkout: Path) -> None:
    append(checkout / "mmclip/objectives/clip.py", LOGIC)
    jobs = planned(checkout)
    assert rules(jobs) == TRAINED - {"search"}
    assert of(jobs, "pretrain") == ["experiment=clip"]
    assert all("experiment=clip," in wildcards for wildcards in of(jobs, "evaluate"))


def test_an_experiment_file_repeats_its_experiment(checkout: Path) -> None:
    edit(checkout / "tests/config/three_m_clip.yaml", "label_scale: 10", "label_scale: 11")
    jobs = planned(checkout)
    assert rules(jobs) == TRAINED
    assert of(jobs, "pretrain") == ["experiment=three_m_clip"]


def test_a_text_model_repeats_what_starts_from_it(checkout: Path) -> None:
    append(checkout / "tests/config/text.yaml", "seed: 1\n")
    jobs = planned(checkout)
    assert rules(jobs) == TEXTS - {"search"}
    assert of(jobs, "pretrain") == ["experiment=clip"]


@pytest.fixture
def own_copy(copy: Path, tmp_path: Path) -> Path:
    """A copy of the copy, for a test that changes what the run remembers of its jobs."""
    return shutil.copytree(copy, tmp_path / "checkout")


def test_a_replaced_folder_of_a_text_model_repeats_what_starts_from_it(own_copy: Path) -> None:
    folder = own_copy / "work/models/tower"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "README.md"):
        (folder / name).write_text("one model")
    settings = own_copy / "tests/config"
    edit(settings / "text.yaml", "{kind: scratch,", "{kind: pretrained, name: models/tower,")
    edit(settings / "three_m_clip.yaml", "{kind: scratch,", "{kind: pretrained, name: models/tower,")
    done = tiny.run(own_copy / "work", "--touch", checkout=own_copy)
    assert done.returncode == 0, done.stdout[-3000:]
    assert planned(own_copy) == set()

    (folder / "README.md").write_text("more about it")
    assert planned(own_copy) == set()

    weights = folder / "model.safetensors"
    before = weights.stat()
    weights.write_text("another 1")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    jobs = planned(own_copy)
    assert rules(jobs) == TEXTS
    assert of(jobs, "pretrain_text") == ["experiment=text"]
    assert of(jobs, "pretrain") == ["experiment=clip", "experiment=three_m_clip"]


def test_a_replaced_folder_of_a_translation_model_translates_again(own_copy: Path) -> None:
    folder = own_copy / "work/models/nllb"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_text("one model")
    edit(
        own_copy / CONFIG,
        "engines:\n",
        "engines_by_language: {spa_Latn: nllb}\n  engines:\n    nllb: {kind: nllb, model: models/nllb}\n",
    )
    assert tiny.run(own_copy / "work", "--touch", checkout=own_copy).returncode == 0
    assert planned(own_copy) == set()
    (folder / "model.bin").write_text("another")
    jobs = planned(own_copy)
    assert rules(jobs) == {"translate", *FILTERED}
    assert all("language=spa_Latn" in wildcards for wildcards in of(jobs, "translate"))


def test_one_more_language_translates_that_language(checkout: Path) -> None:
    edit(checkout / CONFIG, "[eng_Latn, spa_Latn]", "[eng_Latn, spa_Latn, deu_Latn]")
    jobs = planned(checkout)
    for rule in ("translate", "filter"):
        assert len(of(jobs, rule)) == 2
        assert all("language=deu_Latn" in wildcards for wildcards in of(jobs, rule))
    assert rules(jobs) == {"translate", "benchmark", *FILTERED}


def test_one_language_less_translates_nothing(checkout: Path) -> None:
    edit(checkout / CONFIG, "[eng_Latn, spa_Latn]", "[eng_Latn]")
    assert not {"ingest", "pack", "translate", "filter", "label"} & rules(planned(checkout))


def test_one_more_experiment_repeats_no_other(checkout: Path) -> None:
    edit(
        checkout / CONFIG,
        "  clip: tests/config/clip.yaml",
        "  clip: tests/config/clip.yaml\n  again: tests/config/clip.yaml",
    )
    jobs = planned(checkout)
    assert of(jobs, "pretrain") == ["experiment=again"]
    assert rules(jobs) == TRAINED - {"search"}


def test_another_seed_repeats_what_draws(checkout: Path) -> None:
    append(checkout / CONFIG, "\nseed: 1\n")
    assert not {"ingest", "pack", "label", "build"} & rules(planned(checkout))


def test_a_removed_output_is_made_again(checkout: Path) -> None:
    folder = checkout / "work" / tiny.RESULTS
    file, kept = folder / "validate/sheet.html", checkout / "kept.html"
    file.rename(kept)
    try:
        assert rules(planned(checkout)) == {"validate"}
    finally:
        kept.rename(file)
