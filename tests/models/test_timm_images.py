"""Published weights of timm: safetensors from the local cache, and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file

from mmclip.config.models import ImageTower
from mmclip.errors import UserError
from mmclip.models.image_encoder import ImageEncoder

NAME, REPOSITORY = "resnet10t", "timm/resnet10t.c3_in1k"


class Marker:
    """What leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache in which a model has been fetched, without weights yet; who asks the network fails."""
    cache = tmp_path / "hub"
    repository = cache / f"models--{REPOSITORY.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    folder = repository / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)

    def no_network(*arguments: object, **options: object) -> Any:
        raise AssertionError("asked the network")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # as in a program of the user's own
    monkeypatch.setattr("timm.models._hub.hf_hub_download", no_network)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", no_network)
    return folder


def test_safetensors_come_from_the_cache(snapshot: Path) -> None:
    torch.manual_seed(1)
    published = timm.create_model(NAME, pretrained=False).eval()
    save_file(published.state_dict(), snapshot / "model.safetensors")
    encoder = ImageEncoder(ImageTower(name=NAME, size=64, pretrained=True)).eval()
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        expected = published.forward_head(published.forward_features(grey.expand(-1, 3, -1, -1)), pre_logits=True)
        torch.testing.assert_close(encoder(grey)[0], expected, rtol=1e-4, atol=1e-5)


def test_a_pickle_is_never_opened(snapshot: Path, tmp_path: Path) -> None:
    (snapshot / "pytorch_model.bin").write_bytes(pickle.dumps(Marker(tmp_path / "ran")))
    with pytest.raises(
        UserError, match=rf"no safetensors weights of 'resnet10t' .* `mmclip fetch {REPOSITORY}`"
    ) as error:
        ImageEncoder(ImageTower(name=NAME, size=64, pretrained=True))
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()


def test_a_damaged_file_is_named(snapshot: Path) -> None:
    (snapshot / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"model\.image\.pretrained: the weights of 'resnet10t' .* fetch them again"):
        ImageEncoder(ImageTower(name=NAME, size=64, pretrained=True))


def test_a_model_without_published_weights_says_so() -> None:
    with pytest.raises(UserError, match="timm knows no weights of 'cspresnet50d'"):
        ImageEncoder(ImageTower(name="cspresnet50d", pretrained=True))
