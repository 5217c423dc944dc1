"""One tiny run, made once and shared by the tests that look at it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from tests.workflow import tiny


@pytest.fixture(scope="session")
def tiny_run(request: pytest.FixtureRequest) -> Path:
    """The working directory of a finished tiny run; only to be read, or copied.

    It lies in pytest's cache, so that a later session repeats only what was edited since: as any run would.
    """
    folder = Path(request.config.cache.mkdir("tiny-run"))  # type: ignore[union-attr]
    directory, made = folder / "run", folder / "made"
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()} {time.time()}")
    with (folder / "lock").open("w") as handle:  # several workers of pytest-xdist ask for it
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not made.exists() or made.read_text() != session:
            tiny.copy_checkout(folder / "checkout")
            done = tiny.run(directory, "--quiet", "rules", checkout=folder / "checkout")
            assert done.returncode == 0, done.stdout[-5000:]
            made.write_text(session)
    return directory


@pytest.fixture(scope="session")
def frozen(tiny_run: Path) -> Path:
    """A copy of the checkout as it was when the tiny run was made; only to be read, or copied."""
    return tiny_run.parent / "checkout"
