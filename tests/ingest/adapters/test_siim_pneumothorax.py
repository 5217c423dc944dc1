"""The SIIM-ACR challenge in Kaggle's layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmclip.errors import UserError
from mmclip.ingest.adapters.siim_pneumothorax import decode
from mmclip.tables.runs import decode_runs
from tests.ingest.trees import Tree

NAMES = ["1.2.276.0.7230010.3.1.4.8323329.6904", "1.2.276.0.7230010.3.1.4.8323329.13666", "1.2.276.0.7.8.9"]


def code(mask: NDArray[np.bool_]) -> str:
    """The challenge's code of a mask: pairs of a gap and a length, down the columns."""
    numbers, gap = [], 0
    flat = [*mask.T.ravel().tolist(), False]
    length = 0
    for value in flat:
        if value:
            length += 1
            continue
        if length:
            numbers += [gap, length]
            gap = length = 0
        gap += 1
    return " ".join(map(str, numbers))


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_the_code_is_read_as_it_is_written(width: int, height: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    assert np.array_equal(decode(code(mask), width, height), mask)


def squares() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    first, second = np.zeros((2, 1024, 1024), bool)
    first[10:20, 100:300] = True
    second[15:40, 250:400] = True
    return first, second


def siim(tree: Tree, name: str = "train-rle.csv", column: str = " EncodedPixels", none: str = " -1") -> Tree:
    first, second = squares()
    tree.write(
        name,
        f"ImageId,{column}\n{NAMES[0]},{none}\n{NAMES[1]}, {code(first)}\n{NAMES[1]}, {code(second)}\n",
    )
    for identity in NAMES:
        tree.image(f"dicom-images-train/{identity}.1/{identity}.2/{identity}.dcm", 1024, 1024)
    return tree


@pytest.mark.parametrize(
    ("name", "column", "none"),
    [("train-rle.csv", " EncodedPixels", " -1"), ("stage_2_train.csv", "EncodedPixels", "-1")],
)
def test_masks_are_united(tree: Tree, name: str, column: str, none: str) -> None:
    counts = siim(tree, name, column, none).ingest("siim_pneumothorax")
    assert tree.labels("file", "pneumothorax", "pneumonia", kind="image") == {NAMES[0]: (0, None), NAMES[1]: (1, None)}
    (row,) = tree.read("masks").rows(named=True)
    first, second = squares()
    assert (row["image_id"], row["observation"]) == (NAMES[1], "Pneumothorax")
    assert np.array_equal(decode_runs(row["runs"], 1024, 1024), first | second)
    assert counts["images_without_row"] == 1


def test_a_mask_of_another_size_is_counted(tree: Tree) -> None:
    siim(tree).image(f"dicom-images-train/{NAMES[1]}.1/{NAMES[1]}.2/{NAMES[1]}.dcm", 512, 512)
    counts = tree.ingest("siim_pneumothorax")
    assert (counts["masks_of_another_size"], counts["images"], len(tree.read("masks"))) == (1, 2, 0)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1 2 3", "pairs"),
        ("1048570 7", "reach 1048577 pixels"),
        ("a b", "invalid literal"),
        ("", "empty"),
        ("5 -3", "pairs"),
    ],
)
def test_codes_that_cannot_be(tree: Tree, cell: str, message: str) -> None:
    siim(tree).write("train-rle.csv", f"ImageId, EncodedPixels\n{NAMES[0]},{cell}\n")
    with pytest.raises(UserError, match=rf"train-rle\.csv: 1\.2\.276.*{message}"):
        tree.ingest("siim_pneumothorax")
