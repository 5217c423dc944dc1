"""Data sets that hold the same patients: a config has one of them."""

from __future__ import annotations

from typing import Any

import pytest

from mmclip.config.base import parse
from mmclip.config.root import Config
from mmclip.errors import UserError


def source(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "root": f"/data/{kind}", **more}


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        (
            {"small": source("chexpert"), "plus": source("chexpert_plus")},
            r"datasets: .*'small' and 'plus' \(chexpert, chexpert_plus\) hold the same .*chexpert_plus has the",
        ),
        (
            {"jpg": source("mimic_cxr"), "nih": source("nih_cxr14"), "dcm": source("mimic_cxr", images="dicom")},
            r"datasets: .*'jpg' and 'dcm' \(mimic_cxr\) hold .*keep one of the two: one entry reads the images",
        ),
        (
            {"a": source("covidx"), "b": source("covidx", lists="")},
            r"'a' and 'b' \(covidx\) hold .*keep one of the two$",
        ),
    ],
)
def test_the_same_patients_twice_are_refused(datasets: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as told:
        parse(Config, {"datasets": datasets}, "config.yaml")
    assert "\n" not in str(told.value)


def test_different_patients_go_together() -> None:
    table = {"kind": "table", "file": "a.csv", "columns": {"image": "file"}}
    published = ("mimic_cxr", "chexpert_plus", "nih_cxr14", "open_i", "padchest")
    datasets = {kind: source(kind) for kind in published} | {"ours": table, "theirs": table, "p": {"kind": "phantom"}}
    datasets |= {"q": {"kind": "phantom", "seed": 1}}
    assert list(parse(Config, {"datasets": datasets}, "config.yaml").datasets) == list(datasets)
