"""The kinds of data sets: each has its module, its settings and its page, and none depends on another."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from mmclip import provenance
from mmclip.cli import main
from mmclip.config import kinds
from mmclip.config.ingest import FOLDER_SOURCES, KINDS, ReportedSource, parse_source
from mmclip.errors import UserError
from tests.ingest.trees import Tree

ADAPTERS = provenance.ROOT / "mmclip/ingest/adapters"
PUBLISHED = [str(model.model_fields["kind"].default) for model in FOLDER_SOURCES]


def test_a_module_a_kind() -> None:
    assert {file.stem for file in ADAPTERS.glob("*.py")} - {"__init__"} == set(KINDS)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_an_adapter_is_short_and_has_its_terms_and_its_page(kind: str) -> None:
    assert len((ADAPTERS / f"{kind}.py").read_text().splitlines()) < 200
    terms = importlib.import_module(f"mmclip.ingest.adapters.{kind}").TERMS
    assert terms.licence and terms.forbids and "https://" in terms.origin
    page = (provenance.ROOT / "docs/datasets" / f"{kind}.md").read_text()
    assert f"mmclip ingest {kind} " in page
    assert f"]({kind}.md)" in (provenance.ROOT / "docs/datasets/README.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_code_of_one_does_not_depend_on_the_others(kind: str) -> None:
    files = provenance.closure(("mmclip.ingest.stage", f"mmclip.ingest.adapters.{kind}"))
    assert {file.stem for file in files if file.parent == ADAPTERS} == {"__init__", kind}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_an_empty_folder_is_one_line_with_where_to_get_it(kind: str, tree: Tree) -> None:
    with pytest.raises(UserError, match="https://") as told:
        tree.ingest(kind)
    assert "\n" not in str(told.value) and str(tree.root) in str(told.value)
    assert not tree.output.exists()


def test_the_root_is_required() -> None:
    with pytest.raises(UserError, match="root: Field required"):
        parse_source({"kind": "chexpert"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kind": "open_i", "labels": {"source": "official:negbio"}},
            "open_i has no official:negbio; choose of rules, file",
        ),
        ({"kind": "chexpert", "labels": {}}, "unknown key 'labels'"),
        ({"kind": "chexpert", "hold_out": [{"name": "a"}, {"name": "a"}]}, "two benchmarks of one name"),
        ({"kind": "chexpert", "hold_out": [{"name": "a", "classes": ["Oedema", "Edema"]}]}, "'Oedema' is not one of"),
        ({"kind": "covidx", "lists": "../x"}, "lists: String should match"),
    ],
)
def test_settings_that_cannot_be_right(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_source({"root": "/data", **values})


def test_the_command(tree: Tree, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COVID", "Normal", "Viral Pneumonia"):
        tree.image(f"{name}/images/{name}-1.png")
    arguments = ["mmclip", "ingest", "covid_radiography", str(tree.root), "-o", str(tree.output), "--workers", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert "images: 3" in capsys.readouterr().out
    assert Path(tree.output, "card.json").is_file()


def test_the_workflow_knows_who_has_reports() -> None:
    reported = [model for model in FOLDER_SOURCES if issubclass(model, ReportedSource)]
    with_reports = {str(model.model_fields["kind"].default) for model in reported}
    assert set(PUBLISHED) - with_reports == kinds.WITHOUT_REPORTS
    assert (with_reports | {"phantom"}) - {"padchest"} == kinds.ENGLISH_REPORTS
