"""The compiled extension, for the tests that need it."""

from __future__ import annotations

import pytest

from mmclip.ops import build, fused
from tests.conftest import require


@pytest.fixture(scope="session")
def extension() -> build.Build:
    """A sound build of this checkout, loaded; compiled on the first run after an edit to csrc."""
    require("compiler")
    made = build.build()
    assert fused.ready()
    return made


@pytest.fixture(params=["eager", "fused"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each form of the loss in turn."""
    if request.param == "fused":
        request.getfixturevalue("extension")
    return str(request.param)
