"""Find, load and compile the extension in `csrc/`.

A build lies in a folder named by its key: the sha256 of everything that decides whether it may be used here, which
is written beside the library as `build.json`. Folders are searched in this order: `$MMCLIP_EXTENSION_DIR` (itself, or
its `<key>/`), `mmclip/_ext/<key>/` (images), then `<checkout>/.build/<key>/`, or where there is no checkout
`$XDG_CACHE_HOME/mmclip/<key>/`. :func:`load` never compiles; :func:`build` compiles where no sound build is found.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import mmclip
from mmclip.errors import UserError
from mmclip.ops import toolkit
from mmclip.tables.files import locked

LIBRARY = "mmclip_ops.so"
RECORD = "build.json"

_PACKAGE = Path(mmclip.__file__).parent
_CHECKOUT = _PACKAGE.parent

_VECTOR_FLAGS = {
    "AVX512": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma"],
    "AVX2": ["-mavx2", "-mfma", "-mf16c"],
}
"""What the compiler may use for each of torch's CPU capabilities: the flags torch's own kernels are compiled with."""


class ExtensionError(RuntimeError):
    """The extension cannot be compiled here; the message says why in one line."""


@dataclass(frozen=True)
class Build:
    """A sound build: its folder, its record and whether it was compiled just now."""

    folder: Path
    record: dict[str, Any]
    fresh: bool = False

    @property
    def library(self) -> Path:
        return self.folder / LIBRARY


def sources() -> Path:
    """The folder of the C++ sources: `csrc/` of the checkout, or `mmclip/_csrc/` of an installed wheel.

    Raises:
        ExtensionError: there is neither.
    """
    for folder in (_CHECKOUT / "csrc", _PACKAGE / "_csrc"):
        if (folder / "ops.cpp").is_file():
            return folder
    raise ExtensionError(
        f"{_PACKAGE / '_csrc'}: the extension's sources are not installed; install mmclip's wheel again"
    )


def compiler() -> str | None:
    """The first line of the C++ compiler's `--version`, or None where there is no compiler ($CXX, else `c++`)."""
    path = shutil.which(os.environ.get("CXX", "c++"))
    return None if path is None else _version_line(path)


@functools.cache
def _version_line(path: str) -> str:
    out = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return (out.stdout or path).splitlines()[0].strip()


def flags() -> list[str]:
    """The compiler's flags. They follow torch's CPU capability, not the exact processor, so that the nodes of a
    cluster can share a build and each node gets one that it can run (`ATEN_CPU_CAPABILITY` lowers the choice)."""
    capability = torch.backends.cpu.get_cpu_capability()
    vector = _VECTOR_FLAGS.get(capability)
    chosen = (
        ["-DCPU_CAPABILITY=DEFAULT"]
        if vector is None
        else [
            f"-DCPU_CAPABILITY={capability}",
            f"-DCPU_CAPABILITY_{capability}",
            *vector,
        ]
    )
    # GCC's own AVX-512 header draws maybe-uninitialized warnings (bug 105593).
    return ["-O3", "-fopenmp", "-Wall", "-Wno-maybe-uninitialized", *chosen]


def ingredients() -> dict[str, Any]:
    """What the key is made of.

    `cuda` is what the kernels are compiled with, False where they are not wanted, None where they cannot be compiled.

    Raises:
        ExtensionError: the sources are not there.
        UserError: `MMCLIP_CUDA` asks for what is not there.
    """
    folder = sources()
    cuda = toolkit.wanted(folder)
    return {
        "csrc": _digest_of_folder(folder, kernels=False),
        "kernels": None if cuda is False else _digest_of_folder(folder, kernels=True),
        "torch": str(torch.__version__),
        "cuda": cuda,
        "python": sysconfig.get_config_var("SOABI"),
        "compiler": compiler(),
        "flags": flags(),
    }


def key(parts: dict[str, Any] | None = None) -> str:
    """The name of the build's folder: the first 16 hexadecimal digits of the sha256 of :func:`ingredients`."""
    text = json.dumps(ingredients() if parts is None else parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest_of_folder(folder: Path, kernels: bool) -> str:
    """The digest of the sources below `folder`: those in its `cuda/`, or all others."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".cpp", ".h", ".cu", ".cuh")):
        name = path.relative_to(folder).as_posix()
        if name.startswith("cuda/") == kernels:
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _roots() -> list[Path]:
    """The folders that hold builds, in the order they are searched."""
    named = os.environ.get("MMCLIP_EXTENSION_DIR")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmclip"
    own = _CHECKOUT / ".build" if (_CHECKOUT / "csrc").is_dir() else cache
    return [*([Path(named)] if named else []), _PACKAGE / "_ext", own]


def _written_root() -> Path:
    """Where builds are written: the folder the user named, else the checkout's `.build` or the user's cache."""
    roots = _roots()
    return roots[0] if len(roots) == 3 else roots[-1]


def _candidates(name: str, others: bool) -> Iterator[Path]:
    for root in _roots():
        yield root / name
        yield root
        if others and root.is_dir():
            yield from sorted(path for path in root.iterdir() if path.is_dir())


def find() -> Build | None:
    """The first sound build for this machine: the record agrees and the library is the one that was recorded.

    What this machine lacks, a C++ compiler or (unless `MMCLIP_CUDA` is 0) nvcc, is left out of the comparison: a build
    of another machine serves as well. Without nvcc one with CUDA kernels comes first.
    """
    parts = ingredients()
    wanted = {name: value for name, value in parts.items() if value is not None}
    found = [
        Build(folder, record)
        for folder in _candidates(key(parts), others=parts["compiler"] is None or parts["cuda"] is None)
        if (record := _read_record(folder)) is not None
        and all(record.get(name) == value for name, value in wanted.items())
    ]
    return next((build for build in found if build.record["cuda"]), found[0] if found else None)


def _read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a build whose library is whole, else None: a damaged library must not even be mapped."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = hashlib.sha256((folder / LIBRARY).read_bytes()).hexdigest() == record["library"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None


def load() -> bool:
    """Load the extension if it is built; say once, as a warning, if it is not. Never compiles."""
    return _registered() or _load_once()


@functools.cache
def _load_once() -> bool:
    try:
        found = find()
        why = f"no sound build for this machine in {', '.join(map(str, _roots()))}"
        if found is not None:
            torch.ops.load_library(str(found.library))  # type: ignore[no-untyped-call]
    except (OSError, ExtensionError, UserError) as error:
        found, why = None, str(error).splitlines()[0]
    if found is None:
        warnings.warn(f"the fused loss is not used: {why}; `mmclip build` compiles it", stacklevel=4)
    return found is not None and _registered()


def _registered() -> bool:
    return hasattr(torch.ops.mmclip, "soft_contrastive_statistics")


def build() -> Build:
    """Find a sound build, or compile one: into a folder of its own beside the final one, then renamed.

    Of several processes at once one compiles and the others wait for its build. A process killed on the way leaves
    only a temporary folder, which the next removes.

    Raises:
        ExtensionError: no compiler, or it failed (its output is kept beside the build).
        UserError: `MMCLIP_CUDA` asks for what is not there, or the folder cannot be written.
    """
    _load_once.cache_clear()  # another process may have built what load() did not find
    if (found := find()) is not None:
        return found
    if compiler() is None:
        raise ExtensionError("no C++ compiler: neither $CXX nor c++ is on the PATH")
    parts = ingredients()
    target = _written_root() / key(parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target):
            if (found := find()) is not None:
                return found
            for stale in target.parent.glob(f".{target.name}.*.tmp"):
                shutil.rmtree(stale, ignore_errors=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            with contextlib.ExitStack() as cleanup:
                cleanup.callback(shutil.rmtree, temporary, ignore_errors=True)
                record = _compile(temporary, target.with_suffix(".log"), parts)
                shutil.rmtree(target, ignore_errors=True)  # a damaged build of the same key
                temporary.rename(target)
    except OSError as error:
        raise UserError(
            f"{target}: cannot write it ({error.strerror}); set MMCLIP_EXTENSION_DIR to a folder"
        ) from error
    return Build(target, record, fresh=True)


def _compile(folder: Path, log: Path, parts: dict[str, Any]) -> dict[str, Any]:
    """Compile into `folder`, which then holds the library and its record; returns the record."""
    root = sources()
    folder.mkdir(parents=True)
    work = folder / "objects"
    work.mkdir()
    files = [str(path) for path in sorted(root.rglob("*.cpp")) if parts["cuda"] or path.parent.name != "cuda"]
    cuda: dict[str, str] = {}
    if parts["cuda"]:
        files += [str(path) for path in sorted(root.rglob("*.cu"))]
        cuda = {"CUDA_HOME": str(toolkit.home()), "TORCH_CUDA_ARCH_LIST": parts["cuda"]["architectures"]}
    command = [sys.executable, "-m", "mmclip.ops.compile", str(work), str(len(files)), *files, *parts["flags"]]
    environment = {
        **os.environ,
        **cuda,
        "PYTHONPATH": os.pathsep.join([str(_CHECKOUT), os.environ.get("PYTHONPATH", "")]),
        # ninja lies beside the interpreter, which may run without its environment being activated
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise ExtensionError(f"the compiler failed (exit status {done.returncode}); its output is in {log}")
    (work / LIBRARY).rename(folder / LIBRARY)
    shutil.rmtree(work)
    library = hashlib.sha256((folder / LIBRARY).read_bytes()).hexdigest()
    record = {**parts, "key": key(parts), "library": library}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record
