"""A GPU and an extension with kernels for it, for the tests that need them."""

from __future__ import annotations

import pytest
import torch

from mmclip.ops import build, fused, toolkit


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The first GPU, with the kernels compiled and loaded; skips where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    if torch.cuda.get_device_capability()[0] < toolkit.OLDEST:
        pytest.skip(f"{torch.cuda.get_device_name()} is older than the kernels")
    build.build()
    assert fused.ready()
    name = "mmclip::soft_contrastive_statistics"
    assert torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA"), "the extension was compiled without kernels"
    return torch.device("cuda")
