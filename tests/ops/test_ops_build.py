"""Keys, the search, faults while building and loading, and builds for other processors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mmclip.ops import build, stage, toolkit

ROOT = Path(build.__file__).parents[2]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of builds with nothing in it, the only one that is searched and written."""
    root = tmp_path / "builds"
    monkeypatch.setattr(build, "_roots", lambda: [root])
    return root


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had not loaded the extension."""
    monkeypatch.setattr(build, "_registered", lambda: False)
    build._load_once.cache_clear()


@pytest.fixture
def copied(extension: build.Build, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Compiling is replaced by copying the session's build; lists the folders that were "compiled"."""
    compiled: list[Path] = []

    def copy(folder: Path, log: Path, parts: dict[str, Any]) -> dict[str, Any]:
        folder.mkdir(parents=True)
        time.sleep(0.1)
        for name in (build.LIBRARY, build.RECORD):
            shutil.copy(extension.folder / name, folder / name)
        compiled.append(folder)
        return dict(extension.record)

    monkeypatch.setattr(build, "_compile", copy)
    return compiled


def test_the_key_follows_everything_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "csrc"
    source.mkdir()
    (source / "ops.cpp").write_text("// one\n")
    monkeypatch.setattr(build, "sources", lambda: source)
    keys = [build.key()]
    (source / "ops.cpp").write_text("// two\n")
    keys.append(build.key())
    (source / "ops.cpp").rename(source / "other.cpp")
    keys.append(build.key())
    (source / "notes.txt").write_text("not compiled")
    (source / "cuda").mkdir()
    (source / "cuda" / "kernels.cu").write_text("// not compiled without CUDA")
    monkeypatch.setattr(toolkit, "wanted", lambda folder: False)
    assert build.key() == keys[-1]
    for patch in (
        lambda: monkeypatch.setattr(torch, "__version__", "9.9"),
        lambda: monkeypatch.setattr(build, "compiler", lambda: "another c++ 1.0"),
        lambda: monkeypatch.setattr(build, "flags", lambda: ["-O0"]),
        lambda: monkeypatch.setattr(toolkit, "wanted", lambda folder: {"nvcc": "13.0", "architectures": "8.0"}),
        lambda: monkeypatch.setattr(toolkit, "wanted", lambda folder: {"nvcc": "13.0", "architectures": "9.0"}),
        lambda: (source / "cuda" / "kernels.cu").write_text("// compiled"),
    ):
        patch()
        keys.append(build.key())
    assert len(set(keys)) == len(keys)


def test_flags_follow_the_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    def flags_on(capability: str) -> str:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        return " ".join(build.flags())

    assert "-mavx512f" in flags_on("AVX512")
    assert "-mavx2" in flags_on("AVX2") and "512" not in flags_on("AVX2")
    assert "-m" not in flags_on("DEFAULT").replace("-Wno-maybe", "")


def test_search_order(extension: build.Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = extension.record["key"]
    folders = [tmp_path / "named" / name, tmp_path / "package" / "_ext" / name, tmp_path / "checkout" / ".build" / name]
    (tmp_path / "checkout" / "csrc").mkdir(parents=True)
    parts = build.ingredients()
    monkeypatch.setattr(build, "ingredients", lambda: parts)
    monkeypatch.setattr(build, "_PACKAGE", tmp_path / "package")
    monkeypatch.setattr(build, "_CHECKOUT", tmp_path / "checkout")
    monkeypatch.setenv("MMCLIP_EXTENSION_DIR", str(tmp_path / "named"))
    for folder in reversed(folders):
        shutil.copytree(extension.folder, folder)
        found = build.find()
        assert found is not None and found.folder == folder
    shutil.copytree(extension.folder, tmp_path / "direct")
    monkeypatch.setenv("MMCLIP_EXTENSION_DIR", str(tmp_path / "direct"))
    found = build.find()
    assert found is not None and found.folder == tmp_path / "direct"
    (tmp_path / "checkout" / "csrc").rmdir()
    monkeypatch.delenv("MMCLIP_EXTENSION_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert build._roots()[-1] == tmp_path / "cache" / "mmclip"


def test_a_machine_without_a_compiler_uses_what_another_built(
    extension: build.Build, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(extension.folder, empty / extension.record["key"])
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert build.compiler() is None
    found = build.find()
    assert found is not None and found.record["compiler"] is not None
    monkeypatch.setattr(build, "flags", lambda: ["-mother"])
    assert build.find() is None, "another processor's build is not used"


def test_a_machine_without_nvcc_uses_kernels_that_another_compiled(
    extension: build.Build, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = build._digest_of_folder(build.sources(), kernels=True)
    for name, cuda in (("a", None), ("b", {"nvcc": "13.0", "architectures": "8.0"})):
        shutil.copytree(extension.folder, empty / name)
        record = {**extension.record, "kernels": kernels, "cuda": cuda}
        (empty / name / build.RECORD).write_text(json.dumps(record))
    monkeypatch.setattr(toolkit, "wanted", lambda folder: None)
    found = build.find()
    assert found is not None and found.folder.name == "b"
    monkeypatch.setattr(toolkit, "wanted", lambda folder: False)
    assert build.find() is None, "MMCLIP_CUDA=0 means no kernels"


def damage_library(folder: Path) -> None:
    data = (folder / build.LIBRARY).read_bytes()
    (folder / build.LIBRARY).write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    "damage",
    [
        damage_library,
        lambda folder: (folder / build.LIBRARY).unlink(),
        lambda folder: (folder / build.RECORD).unlink(),
        lambda folder: (folder / build.RECORD).write_text('{"key": '),
    ],
)
def test_a_damaged_build_is_never_loaded_and_is_built_again(
    damage: Callable[[Path], None], extension: build.Build, empty: Path, unloaded: None, copied: list[Path]
) -> None:
    target = empty / extension.record["key"]
    shutil.copytree(extension.folder, target)
    damage(target)
    with pytest.warns(UserWarning, match="no sound build for this machine.*`mmclip build` compiles it"):
        assert not build.load()
    assert build.build().fresh and len(copied) == 1
    found = build.find()
    assert found is not None and found.folder == target
    assert not build.build().fresh, "the second time it is reused"
    assert [path.name for path in empty.iterdir()] == [target.name]


def test_the_warning_is_given_once(empty: Path, unloaded: None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [build.load() for _ in range(3)] == [False] * 3
    assert len(caught) == 1


def test_a_library_that_cannot_be_loaded_is_a_warning(
    empty: Path, unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = empty / "x"
    folder.mkdir(parents=True)
    (folder / build.LIBRARY).write_text("not a library")
    monkeypatch.setattr(build, "find", lambda: build.Build(folder, {}))
    with pytest.warns(UserWarning, match="the fused loss is not used"):
        assert not build.load()


def test_of_several_builders_one_compiles(empty: Path, copied: list[Path]) -> None:
    made: list[build.Build] = []
    threads = [threading.Thread(target=lambda: made.append(build.build())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(copied) == 1 and sorted(one.fresh for one in made) == [False, False, True]


def test_what_another_process_built_is_looked_for_again(empty: Path, unloaded: None, extension: build.Build) -> None:
    with pytest.warns(UserWarning, match="no sound build"):
        build.load()
    shutil.copytree(extension.folder, empty / build.key())
    assert not build.build().fresh
    assert build._load_once.cache_info().currsize == 0, "the failure is remembered"


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path, empty: Path, copied: list[Path]) -> None:
    environment = {**os.environ, "MMCLIP_EXTENSION_DIR": str(empty), "PYTHONPATH": str(ROOT)}
    # Another set of flags, so that no build of this checkout is found and the real compiler starts.
    code = "from mmclip.ops import build; build.flags = lambda: ['-O0', '-DCPU_CAPABILITY=DEFAULT']; build.build()"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(empty.glob(".*.tmp/objects/build.ninja")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = [path.name for path in empty.iterdir()]
    assert any(name.endswith(".tmp") for name in left), "it was compiling"
    assert all(name.startswith(".") for name in left), "no folder that could be taken for a build"
    assert build.find() is None
    (stale,) = empty.glob(".*.tmp")
    stale.rename(empty / f".{build.key()}.123.tmp")
    assert build.build().fresh
    assert not list(empty.glob(".*.tmp"))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "broken"
    source.mkdir()
    (source / "ops.cpp").write_text("#error this never compiles\n")
    monkeypatch.setattr(build, "sources", lambda: source)


@pytest.mark.usefixtures("broken")
def test_a_failing_compiler_keeps_its_output(empty: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="the compiler failed"):
        record = stage.build(tmp_path / "ext.json")
    log = Path(record["why"].split()[-1])
    assert "this never compiles" in log.read_text() and log.parent == empty
    assert [path.name for path in empty.iterdir()] == [log.name]
    assert record["backend"] == "eager"


def test_no_compiler_is_eager_with_the_reason(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.warns(UserWarning, match="eager form: no C\\+\\+ compiler"):
        record = stage.build(tmp_path / "build" / "ext.json")
    assert record == json.loads((tmp_path / "build" / "ext.json").read_text())
    assert record["backend"] == "eager" and "no C++ compiler" in record["why"]


def test_the_stage_writes_down_what_was_built(extension: build.Build, tmp_path: Path) -> None:
    record = stage.build(tmp_path / "ext.json")
    assert json.loads((tmp_path / "ext.json").read_text()) == record
    assert record["backend"] == "fused" and record["compiled"] is False
    assert record["key"] == build.key() and Path(record["path"]).is_file()
    assert ("architectures" in record) == ("cuda" in record["backends"]) == ("why_no_cuda" not in record)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_other_processors_get_the_same_results(capability: str, tmp_path: Path) -> None:
    """Compile as a smaller processor would, and run the fused form's own tests on the result."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability, "MMCLIP_EXTENSION_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", str(Path(__file__).with_name("test_fused.py"))],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    (record,) = tmp_path.glob("*/build.json")
    assert "avx512" not in record.read_text().lower()


@pytest.mark.slow
@pytest.mark.needs("compiler", "nvcc")
def test_kernels_are_compiled_linked_and_registered_without_a_driver(tmp_path: Path) -> None:
    """With MMCLIP_CUDA=1: both architectures and portable code are inside, and CPU tensors are served as before."""
    environment = {**os.environ, "MMCLIP_CUDA": "1", "MMCLIP_EXTENSION_DIR": str(tmp_path)}
    environment.pop("TORCH_CUDA_ARCH_LIST", None)
    code = """
import json, sys, torch
from pathlib import Path
from mmclip import doctor
from mmclip.ops import fused, stage
from mmclip.ops.pairs import Pairs
record = stage.build(Path(sys.argv[1]))
assert fused.ready()
x = torch.randn(3, 4)
assert fused.statistics(Pairs(x, x, torch.tensor(1.0)))[0].shape == (2, 3)
names = ["mmclip::soft_contrastive_statistics", "mmclip::soft_contrastive_gradient"]
assert all(torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA") for name in names)
assert "8.0;9.0+PTX, by nvcc" in " ".join(finding.text for finding in doctor.examine())
if not torch.cuda.is_available():
    try:
        fused.statistics(Pairs(x.cuda(), x.cuda(), torch.tensor(1.0)))
    except (RuntimeError, AssertionError) as error:
        print(str(error).splitlines()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ext.json")],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.cuda.is_available() or "NVIDIA" in done.stdout
    record = json.loads((tmp_path / "ext.json").read_text())
    assert record["backends"] == ["eager", "cpu", "cuda"] and record["architectures"] == ["8.0", "9.0+PTX"]
    library = Path(record["path"]).read_bytes()
    assert b"mmclip_gradient_labels" in library and b"sm_80" in library and b"sm_90" in library
