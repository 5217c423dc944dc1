"""The package's public name resolves late."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mmclip.ops


def test_the_package_imports_nothing() -> None:
    code = "import sys, mmclip.ops; assert 'torch' not in sys.modules; from mmclip.ops import soft_contrastive_loss"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert "soft_contrastive_loss" in dir(mmclip.ops)
    with pytest.raises(AttributeError, match="no attribute 'hard_loss'"):
        _ = mmclip.ops.hard_loss
