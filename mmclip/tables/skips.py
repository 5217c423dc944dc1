"""Bad samples: skipped, counted by reason, listed, and bounded by a budget."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from mmclip.errors import BudgetExceeded
from mmclip.tables.files import write_table
from mmclip.tables.ingest import SKIPPED


class Skips:
    """What a stage leaves out, in the order in which it was found."""

    def __init__(self) -> None:
        self._rows: list[dict[str, object]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, identity: str, reason: str) -> None:
        """Leave out the sample of this id; `reason` is a word with underscores, never report text."""
        self._rows.append({"id": identity, "reason": reason})

    def counts(self) -> dict[str, int]:
        """Number of samples for each reason, the most frequent first."""
        counted = Counter(str(row["reason"]) for row in self._rows)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def frame(self) -> pl.DataFrame:
        """The `skipped` table."""
        return SKIPPED.frame(self._rows)

    def enforce(self, total: int, budget: float, output: Path, what: str) -> None:
        """Fail if more than the share `budget` of `total` samples was skipped.

        The list is then written beside `output`, which is left as it was; after a run within the budget no such
        list remains.

        Args:
            what: what a sample is, in the plural, for the message (``rows``, ``images``).

        Raises:
            BudgetExceeded: with the counts by reason, the first sample and where the list is.
        """
        listing = output.with_name(f"{output.name}.skipped.parquet")
        if len(self) <= budget * total:
            listing.unlink(missing_ok=True)
            return
        write_table(self.frame(), listing, SKIPPED)
        reasons = ", ".join(f"{reason} {count}" for reason, count in self.counts().items())
        first = self._rows[0]
        raise BudgetExceeded(
            f"{output.name}: {len(self)} of {total} {what} cannot be used ({reasons}; first: {first['id']!r}, "
            f"{first['reason']}), more than error_budget {budget:g} allows; the list is in {listing}; "
            f"mend them or raise error_budget"
        )
