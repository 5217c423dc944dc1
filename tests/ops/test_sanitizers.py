"""The CPU kernels compiled with AddressSanitizer and UndefinedBehaviorSanitizer, over a sweep of shapes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

from mmclip.ops import build

pytestmark = pytest.mark.slow

SWEEP = """
import sys, torch
torch.ops.load_library(sys.argv[1])
statistics, gradient = torch.ops.mmclip.soft_contrastive_statistics, torch.ops.mmclip.soft_contrastive_gradient
for dtype in (torch.float32, torch.float64, torch.bfloat16):
    kind = torch.promote_types(dtype, torch.float32)
    for n, m, d, labels in [(1, 1, 1, 1), (2, 3, 2, 1), (31, 129, 127, 14), (65, 64, 64, 64), (257, 300, 16, 5),
                            (1000, 3, 33, 17), (4100, 65, 6, 2)]:
        for mkldnn in (True, False):
            for with_labels in (True, False):
                for scale in (5.0, 100.0):
                    x, y = (torch.randn(size, d).to(dtype) / d**0.5 for size in (n, m))
                    a, b = (torch.rand(size, labels) for size in (n, m)) if with_labels else (None, None)
                    groups = torch.arange(n) % 3, torch.arange(m) % 3, torch.eye(3, dtype=torch.bool)
                    for relation in ((None,) * 3, groups):
                        rest = torch.tensor(scale, dtype=kind), a, b, True, 30.0, *relation
                        with torch.backends.mkldnn.flags(enabled=mkldnn, allow_tf32=False):
                            statistics(x, y, *rest)
                            shifts = (torch.ones(2 if with_labels else 1, size, dtype=kind) * 9 for size in (n, m))
                            gradient(x, y, *rest, *shifts)
print("swept")
"""


def runtime(name: str) -> str:
    """The path of the compiler's runtime library of a sanitizer."""
    compiler = os.environ.get("CXX", "c++")
    path = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
    return path.strip()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("flags", "library"), [("address", "libasan.so"), ("undefined", "libubsan.so")])
def test_a_sweep_of_shapes_is_clean(flags: str, library: str, tmp_path: Path) -> None:
    if not Path(runtime(library)).is_absolute():
        pytest.skip(f"the compiler has no {library}")
    folder, torch_folder = build.sources(), Path(torch.__file__).parent
    built = tmp_path / "mmclip_ops.so"
    includes = [torch_folder / "include", torch_folder / "include/torch/csrc/api/include"]
    command = [
        os.environ.get("CXX", "c++"), "-std=c++20", "-shared", "-fPIC", *build.flags(), "-O1", "-g", "-w",
        f"-fsanitize={flags}", "-fno-omit-frame-pointer", "-fno-sanitize=vptr",
        *(f"-I{path}" for path in (*includes, sysconfig.get_paths()["include"])),
        str(folder / "ops.cpp"), *map(str, sorted((folder / "cpu").glob("*.cpp"))),
        f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu", "-ltorch", "-o", str(built),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": runtime(library),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "OMP_NUM_THREADS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(built)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0 and "swept" in done.stdout, done.stdout + done.stderr[-4000:]
