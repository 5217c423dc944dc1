"""From the judges' marks: do they agree with one another, and with the filter?"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from mmclip.config.filtering import Validation
from mmclip.errors import UserError
from mmclip.filtering.criteria import CRITERIA
from mmclip.tables.files import read_table, write_json
from mmclip.tables.filtering import SAMPLE

MARKS = (1, 2, 3, 4, 5)


def measure_agreement(settings: Validation, sample: Path, judged: Sequence[Path], output: Path) -> dict[str, int]:
    """Compare the judges' marks with one another and with the filter; writes ``agreement.json`` (no report text).

    Args:
        sample: the SAMPLE table that was judged.
        judged: CSV files with item, judge, accuracy, fluency, consistency, of people and of models.

    Returns:
        Numbers of items, of judged ones and of judges.
    """
    table = read_table(sample, SAMPLE)
    marks = read_judged(judged, table)
    write_json(agreement(table, marks, settings.bad_below), output)
    return {"items": table.height, "judged": marks["item"].n_unique(), "judges": marks["judge"].n_unique()}


def read_judged(paths: Sequence[Path], sample: pl.DataFrame) -> pl.DataFrame:
    """The marks of all judges: item, judge and the criteria (Int8, null where not judged).

    Raises:
        UserError: an unknown item, a mark that is not 1 to 5, or an item judged twice by the same judge.
    """
    items = set(sample["item"])
    rows = [row for path in paths for row in _read(path, items)]
    schema = {"item": pl.String, "judge": pl.String, **dict.fromkeys(CRITERIA, pl.Int8)}
    marks = pl.DataFrame(rows, schema=schema, orient="row")
    twice = marks.filter(marks.select("item", "judge").is_duplicated())
    if twice.height:
        item, judge = twice.select("item", "judge").row(0)
        raise UserError(f"{paths[-1]}: item {item} is judged twice by {judge!r}; keep one row of it")
    return marks


def _read(path: Path, items: set[str]) -> Iterator[tuple[Any, ...]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        missing = [name for name in ("item", *CRITERIA) if name not in (rows.fieldnames or ())]
        if missing:
            raise UserError(f"{path}: column {missing[0]!r} is missing; save the marks from sheet.html or sheet.csv")
        for number, row in enumerate(rows, start=2):
            if row["item"] not in items:
                raise UserError(
                    f"{path}: row {number}: item {row['item']!r} is not in this sample; judge its own sheet, or move "
                    "this file away"
                )
            marks = [_mark(row[name], f"{path}: row {number}: {name}") for name in CRITERIA]
            if any(mark is not None for mark in marks):
                yield row["item"], row.get("judge") or path.stem, *marks


def _mark(value: str | None, where: str) -> int | None:
    value = (value or "").strip()
    if not value:
        return None
    if value not in map(str, MARKS):
        raise UserError(f"{where} is {value!r}; a mark is a whole number from 1 to 5, or empty")
    return int(value)


def weighted_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Cohen's kappa of two judges with quadratic weights (Cohen 1968): 1 - observed / expected squared distance.

    None where it is undefined: no item in common, or no spread to disagree about.
    """
    pairs = list(zip(first, second, strict=True))
    observed = sum((a - b) ** 2 for a, b in pairs)
    expected = sum((a - b) ** 2 for a in first for b in second)
    return 1 - observed * len(pairs) / expected if expected else None


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927); (0, 1) where n is 0."""
    if not n:
        return 0.0, 1.0
    share, square = hits / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def agreement(sample: pl.DataFrame, marks: pl.DataFrame, bad_below: float) -> dict[str, Any]:
    """The content of ``agreement.json``.

    A translation counts as bad when its worst criterion, averaged over its judges, is below `bad_below`. `precision`
    is the share of rejected sentences that are bad; `kept_good` the share of kept ones that are not.
    """
    judged = sample.select("item", "language", "kept").join(_bad(marks, bad_below), on="item")
    return {
        "judges": sorted(marks["judge"].unique()),
        "items_in_sample": sample.height,
        "items_judged": judged.height,
        "bad_below": bad_below,
        "kappa": list(_kappas(marks)),
        "overall": _rates(judged),
        "by_language": [
            {"language": language, **_rates(rows)} for (language,), rows in sorted(judged.group_by("language"))
        ],
    }


def _bad(marks: pl.DataFrame, bad_below: float) -> pl.DataFrame:
    means = marks.group_by("item").agg(pl.col(name).mean() for name in CRITERIA)
    return means.select("item", bad=pl.min_horizontal(*CRITERIA) < bad_below)


def _kappas(marks: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for first, second in combinations(sorted(marks["judge"].unique()), 2):
        for name in CRITERIA:
            both = (
                marks.filter(judge=first)
                .join(marks.filter(judge=second), on="item", suffix="_second")
                .select(name, f"{name}_second")
                .drop_nulls()
            )
            kappa = weighted_kappa(both[name].to_list(), both[f"{name}_second"].to_list())
            yield {"criterion": name, "judges": [first, second], "items": both.height, "weighted_kappa": kappa}


def _rates(judged: pl.DataFrame) -> dict[str, Any]:
    rejected, kept = judged.filter(~pl.col("kept")), judged.filter("kept")
    return {
        "precision": _share(int(rejected["bad"].sum()), rejected.height),
        "kept_good": _share(int((~kept["bad"]).sum()), kept.height),
    }


def _share(hits: int, n: int) -> dict[str, Any]:
    low, high = wilson(hits, n)
    return {"value": hits / n if n else None, "low": low, "high": high, "n": n}
