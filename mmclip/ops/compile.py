"""Compile the extension into a folder: run as a process of its own by :mod:`mmclip.ops.build`.

A process of its own, because the library is loaded when it is linked (which proves that it can be), and a process
can register the operators only once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch.utils.cpp_extension

NAME = "mmclip_ops"


def compile_sources(sources: list[str], flags: list[str], folder: str) -> None:
    """Compile and link `sources`, the C++ ones with `flags`; the library is `folder`/mmclip_ops.so.

    Where there are `.cu` sources the toolkit is that of `$CUDA_HOME`, the architectures those of
    `$TORCH_CUDA_ARCH_LIST`; `-lineinfo` lets profilers and the sanitizer name lines and costs nothing.
    """
    torch.utils.cpp_extension.load(
        NAME,
        sources,
        extra_cflags=flags,
        extra_cuda_cflags=["-O3", "-lineinfo"],
        build_directory=folder,
        is_python_module=False,
        verbose=True,
    )


if __name__ == "__main__":
    # The environment's ninja is found even where the environment was never activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    folder, count, *rest = sys.argv[1:]
    compile_sources(rest[: int(count)], rest[int(count) :], folder)
