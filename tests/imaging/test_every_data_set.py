"""Every published data set from its own layout to packed pixels, by ingest and pack as the workflow calls them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from mmclip.config.imaging import PackSettings
from mmclip.imaging.stage import pack
from mmclip.tables.card import read_card
from mmclip.tables.files import read_table
from mmclip.tables.imaging import INDEX
from tests.ingest.test_damaged import BUILDERS
from tests.ingest.trees import Tree

SIZE = 24


@pytest.mark.parametrize("kind", BUILDERS)
def test_from_a_download_to_pixels(kind: str, tmp_path: Path) -> None:
    tree = BUILDERS[kind](Tree(tmp_path))
    counts = tree.ingest(kind, error_budget=0.5)
    images = tree.read("images")
    assert counts["images"] == len(images) > 0
    for path, digest in images.select("path", "sha256").iter_rows():
        assert sha256(Path(path).read_bytes()).hexdigest() == digest
    card = read_card(tree.output / "card.json")
    for name, digest in card.files.items():
        assert sha256((tree.output / name).read_bytes()).hexdigest() == digest
    for name, digest in card.sources.items():
        (file,) = tree.root.rglob(name)
        assert sha256(file.read_bytes()).hexdigest() == digest
    packs = {}
    for workers in (1, 2):
        folder = tmp_path / f"pack{workers}"
        summary = pack(PackSettings(size=SIZE, error_budget=0, workers=workers), tree.output / "images.parquet", folder)
        assert (summary["packed"], summary["skipped"]) == (len(images), {})
        packs[workers] = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert packs[1] == packs[2]
    index = read_table(tmp_path / "pack1/index.parquet", INDEX)
    assert index["image_id"].to_list() == images["image_id"].to_list()
    pixels = np.load(tmp_path / "pack1/pixels-00000.npy", allow_pickle=False)
    assert [sha256(square.tobytes()).hexdigest() for square in pixels] == index["sha256"].to_list()
    assert all(square.min() < square.max() for square in pixels)
