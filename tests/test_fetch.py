"""Fetching weights: the licence is asked for first, and pickles are never enough."""

from pathlib import Path

import huggingface_hub
import pytest

from mmclip.errors import UserError
from mmclip.fetch import fetch

NLLB = ("facebook/nllb-200-distilled-600M", "facebook/nllb-200-distilled-1.3B", "facebook/nllb-200-3.3B")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub whose every model is one folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *arguments, **options: str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", NLLB)
def test_nllb_asks_for_its_licence_in_every_size(hub: Path, name: str) -> None:
    (hub / "model.safetensors").touch()
    with pytest.raises(UserError, match=r"CC-BY-NC.*not meant for medical text.*--accept-licence"):
        fetch(name)
    assert fetch(name, accept_licence=True) == hub


def test_permissive_models_are_just_fetched(hub: Path) -> None:
    (hub / "model.safetensors").touch()
    assert fetch("Helsinki-NLP/opus-mt-en-es") == hub


def test_pickles_are_not_enough(hub: Path) -> None:
    (hub / "pytorch_model.bin").touch()
    with pytest.raises(UserError, match=r"no \.safetensors file.*--revision refs/pr/N"):
        fetch("Helsinki-NLP/opus-mt-en-es")


def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **options: object) -> str:
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(UserError, match=r"cannot be fetched \(no route to host\); is there a network\?$"):
        fetch("Helsinki-NLP/opus-mt-en-es")
