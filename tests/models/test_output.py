"""A model's folder replaces only a model, and never the one that it is made from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmclip.errors import UserError
from mmclip.models.export import export_open_clip
from mmclip.models.from_open_clip import import_open_clip
from mmclip.models.release import release
from tests.models.golden import FOLDER

WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "export": export_open_clip,
    "release": release,
    "import": import_open_clip,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of mmclip and the same in open_clip's form."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(FOLDER, root / "ours")
    export_open_clip(root / "ours", root / "open_clip")
    return root


def source(models: Path, writer: str) -> Path:
    return models / ("open_clip" if writer == "import" else "ours")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_source_is_never_replaced(models: Path, writer: str) -> None:
    before = contents(models)
    for output in (source(models, writer), models):
        with pytest.raises(UserError, match="would replace the model"):
            WRITERS[writer](source(models, writer), output)
    assert contents(models) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_only_a_model_is_replaced(models: Path, writer: str, tmp_path: Path) -> None:
    theses, published, file = tmp_path / "theses", tmp_path / "published", tmp_path / "notes.txt"
    for folder in (theses, published):
        folder.mkdir()
    (theses / "thesis.tex").write_text("years of work")
    (published / "config.json").write_text('{"model_type": "bert"}')
    file.write_text("notes")
    before = contents(tmp_path)
    for output in (theses, published, file):
        with pytest.raises(UserError, match=f"{output.name}: holds something else than a model") as error:
            WRITERS[writer](source(models, writer), output)
        assert "\n" not in str(error.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_an_empty_folder_and_a_model_are_replaced(models: Path, writer: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    WRITERS[writer](source(models, writer), tmp_path / "out")
    first = contents(tmp_path / "out")
    (tmp_path / "out" / "stale.txt").write_text("of an older version")
    WRITERS[writer](source(models, writer), tmp_path / "out")
    assert contents(tmp_path / "out") == first
