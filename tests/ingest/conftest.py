"""What the tests of the ingest share."""

from pathlib import Path

import pytest

from tests.ingest.trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty data set's folder."""
    return Tree(tmp_path)
