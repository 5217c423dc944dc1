"""The table of a study for the documents: its intervals, a line a variant, in Markdown."""

from __future__ import annotations

from typing import Any

from study_runs import Study

from mmclip.errors import UserError

Row = dict[str, Any]


def table(study: Study, known: Row) -> str:
    """A line a variant and a column a figure of `table:` in the study's file: value, interval, seeds; where the study
    asks for a difference (`+`), that to the reference.

    A difference whose interval excludes zero is bold.

    Raises:
        UserError: the study's file has no `table:`.
    """
    if "table" not in study.asked:
        raise UserError(f"benchmarks/studies/{study.name}.yaml: no table; it maps columns of --show to headings")
    asked: dict[str, str] = study.asked["table"]
    found = {(row["variant"], row["column"]): row for row in known.get("intervals", [])}
    axes = list(study.asked["axes"])
    lines = [[*axes, "seeds", *asked.values()], ["---"] * (len(axes) + 1 + len(asked))]
    for variant in study.variants:
        rows = {key: found.get((variant.name, key.removesuffix("+"))) for key in asked}
        seeds = {str(row["seeds"]) for row in rows.values() if row}
        if seeds:
            cells = [_difference(row) if key.endswith("+") else _value(row) for key, row in rows.items()]
            lines.append([*variant.values, "/".join(sorted(seeds)), *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _value(row: Row | None) -> str:
    return "" if row is None else f"{_short(row['value'])} ({_short(row['low'])} to {_short(row['high'])})"


def _difference(row: Row | None) -> str:
    if row is None or "difference" not in row:
        return ""
    low, high = row["difference_low"], row["difference_high"]
    text = f"{_signed(row['difference'])} ({_signed(low)} to {_signed(high)})"
    return f"**{text}**" if low > 0 or high < 0 else text


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if 0 <= value < 1 else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1)
