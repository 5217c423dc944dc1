"""The rule for tests that need what not every machine has: skipped here, failed in continuous integration."""

from __future__ import annotations

import pytest

from tests import conftest


@pytest.fixture(autouse=True)
def needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conftest.NEEDS, "the moon", lambda: "no moon")
    monkeypatch.setitem(conftest.NEEDS, "air", lambda: None)


def test_what_is_there_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCLIP_CI", "1")
    conftest.require("air")


def test_what_is_missing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMCLIP_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no moon"):
        conftest.require("the moon")


def test_what_is_missing_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCLIP_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no moon"):
        conftest.require("the moon")


def test_a_folder_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCLIP_REAL_DATA", "/no/such/folder")
    assert conftest.NEEDS["real_data"]() == "MMCLIP_REAL_DATA=/no/such/folder is no folder"
    monkeypatch.delenv("MMCLIP_REAL_DATA")
    assert conftest.NEEDS["real_data"]() == "MMCLIP_REAL_DATA is not set"
