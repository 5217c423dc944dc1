"""Runs to report on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.tree import write_tree


@pytest.fixture(scope="session")
def public_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on data that may be shown; its tests only read it."""
    return write_tree(tmp_path_factory.mktemp("public") / "demo")
