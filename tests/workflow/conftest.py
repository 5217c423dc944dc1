"""One tiny run, made once and shared by the tests that look at it."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tests.workflow import tiny


@pytest.fixture(scope="session")
def tiny_run(request: pytest.FixtureRequest) -> Path:
    """The working directory of a finished tiny run; only to be read, or copied.

    It lies in pytest's cache, so that a later session repeats only what was edited since: as any run would.
    """
    folder = Path(request.config.cache.mkdir("tiny-run"))  # type: ignore[union-attr]
    with (folder / "lock").open("w") as handle:  # several workers of pytest-xdist ask for it
        fcntl.flock(handle, fcntl.LOCK_EX)
        directory = folder / "run"
        done = tiny.run(directory, "--quiet", "rules")
        assert done.returncode == 0, done.stdout[-5000:]
    return directory
