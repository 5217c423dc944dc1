"""The metrics of a run, and asking for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmclip.languages import LANGUAGES
from mmclip.report.run import Run
from mmclip.tables.evaluation import Metric, read_metrics

MEAN, WORST, NONE = "mean", "worst", "none"
"""Languages of rows that concern all languages, the worst one, or no text at all."""


@dataclass(frozen=True)
class Measured:
    """Every row of every metrics.json that belongs to a run."""

    rows: tuple[Metric, ...]

    def kept(self, wanted: Callable[[Metric], bool]) -> Measured:
        """Only the rows that are wanted."""
        return Measured(tuple(row for row in self.rows if wanted(row)))

    def find(self, **wanted: object) -> list[Metric]:
        """The rows whose fields have these values."""
        return [row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items())]

    def one(self, **wanted: object) -> Metric | None:
        """The first row whose fields have these values, or None."""
        return next(iter(self.find(**wanted)), None)

    def experiments(self) -> list[str]:
        """The experiments, in the order of their rows."""
        return list(dict.fromkeys(row.experiment for row in self.rows))

    def datasets(self) -> list[str]:
        """The data sets, in the order of their rows."""
        return list(dict.fromkeys(row.dataset for row in self.rows))

    def languages(self, **wanted: object) -> list[str]:
        """The languages of the rows with these values, in the order of :data:`mmclip.languages.LANGUAGES`."""
        found = {row.language for row in self.find(**wanted)}
        return [code for code in LANGUAGES if code in found]


def read_run(run: Run) -> Measured:
    """The metrics of a run's experiments, tasks and benchmarks."""
    return Measured(tuple(row for file in run.metrics() for row in read_metrics(file)))
