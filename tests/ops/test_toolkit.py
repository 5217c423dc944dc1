"""Whether and for what the kernels are compiled: variables, and machines that lack something."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmclip.errors import UserError
from mmclip.ops import toolkit


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a kernel, on a machine that can compile it, with no variable set."""
    (tmp_path / "kernels.cu").write_text("")
    monkeypatch.setattr(toolkit, "release", lambda: "13.0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for name in ("MMCLIP_CUDA", "MMCLIP_CUDA_ARCHITECTURES", "TORCH_CUDA_ARCH_LIST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_compiled_where_it_can_be(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toolkit.wanted(sources) == {"nvcc": "13.0", "architectures": "8.0;9.0+PTX"}
    monkeypatch.setenv("MMCLIP_CUDA", "0")
    assert toolkit.wanted(sources) is False and toolkit.why_not(sources) == "MMCLIP_CUDA=0"


def test_a_gpu_is_never_asked_for(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*arguments: object) -> bool:
        raise AssertionError("a GPU was asked for")

    for name in ("is_available", "device_count", "get_device_capability", "init"):
        monkeypatch.setattr(torch.cuda, name, asked)
    assert toolkit.wanted(sources)


@pytest.mark.parametrize("missing", ["sources", "nvcc", "torch", "release"])
def test_what_is_missing_is_named(missing: str, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "sources":
        (sources / "kernels.cu").unlink()
    elif missing == "torch":
        monkeypatch.setattr(torch.version, "cuda", None)
    else:
        monkeypatch.setattr(toolkit, "release", lambda: None if missing == "nvcc" else "12.4")
    said = {
        "sources": "no CUDA sources",
        "nvcc": "no nvcc on the PATH",
        "torch": "no CUDA in this torch",
        "release": r"no nvcc of CUDA 13 \(found 12.4\)",
    }[missing]
    assert toolkit.wanted(sources) is None
    with pytest.raises(UserError, match=f"MMCLIP_CUDA=1: {said}; use MMCLIP_CUDA=0 or auto"):
        monkeypatch.setenv("MMCLIP_CUDA", "1")
        toolkit.wanted(sources)


def test_another_value_is_refused(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCLIP_CUDA", "yes")
    with pytest.raises(UserError, match="MMCLIP_CUDA=yes: unknown value; use 0, 1 or auto"):
        toolkit.wanted(sources)


@pytest.mark.parametrize(
    ("own", "torchs", "names"),
    [
        (None, None, ["8.0", "9.0+PTX"]),
        (None, "7.5 8.0 8.6 9.0a 12.0+PTX", ["8.0", "8.6", "9.0a", "12.0+PTX"]),
        ("8.6", "7.5", ["8.6"]),
        ("8.0,9.0", None, ["8.0", "9.0"]),
    ],
)
def test_architectures(
    own: str | None, torchs: str | None, names: list[str], sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (("MMCLIP_CUDA_ARCHITECTURES", own), ("TORCH_CUDA_ARCH_LIST", torchs)):
        if value is not None:
            monkeypatch.setenv(variable, value)
    assert toolkit.architectures() == names


@pytest.mark.parametrize(("value", "said"), [("Ampere", "is no compute capability"), ("7.0;7.5", "need 8.0 or newer")])
def test_architectures_that_cannot_be(value: str, said: str, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMCLIP_CUDA_ARCHITECTURES", value)
    with pytest.raises(UserError, match=f"MMCLIP_CUDA_ARCHITECTURES={value}: .*{said}"):
        toolkit.architectures()


@pytest.mark.needs("nvcc")
def test_the_installed_toolkit_is_found() -> None:
    assert toolkit.release() is not None
    assert (toolkit.home() / "include" / "cuda_runtime.h").is_file()
