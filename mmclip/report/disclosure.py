"""What may be shown: pictures, ids and sentences of public data only, and no small counts of restricted data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmclip.errors import UserError
from mmclip.report.run import Run
from mmclip.tables.card import Card, read_card


@dataclass(frozen=True)
class Count:
    """A number as it may be shown: `value` is None where it is hidden, `text` is what the page says."""

    value: int | None
    text: str

    @property
    def number(self) -> int:
        """The value for drawing; 0 where it is hidden."""
        return self.value or 0


@dataclass(frozen=True)
class Disclosure:
    """The rule for the whole page.

    Attributes:
        cards: data set -> card; None where it has none, which counts as restricted.
        smallest: with restricted data, counts below it are hidden.
    """

    cards: dict[str, Card | None]
    smallest: int

    @property
    def restricted(self) -> list[str]:
        """Data sets of which nothing but aggregates may be shown."""
        return [name for name in self.cards if not self.public(name)]

    @property
    def simulated(self) -> bool:
        """Whether every data set says of itself that it is simulated."""
        return bool(self.cards) and all(card is not None and "simulated" in card.note for card in self.cards.values())

    def public(self, dataset: str) -> bool:
        """Whether pictures, ids and sentences of a data set may be shown; not where it has no card."""
        card = self.cards.get(dataset)
        return card is not None and card.share == "public"

    def hides(self, value: int) -> bool:
        """Whether a count of so many must not be shown."""
        return bool(self.restricted or not self.cards) and value < self.smallest

    def count(self, value: int) -> Count:
        """A count by itself."""
        return Count(None, f"<{self.smallest}") if self.hides(value) else Count(value, f"{value:,}")

    def parts(self, values: Sequence[int]) -> list[Count]:
        """Counts that add up to a total which is also shown: where one is hidden, so is the next smallest.

        A single hidden part would follow from the others by subtraction.
        """
        counts = [self.count(value) for value in values]
        hidden = [i for i, one in enumerate(counts) if one.value is None]
        if len(hidden) == 1 and len(values) > 1:
            rest = [i for i in range(len(values)) if i not in hidden]
            counts[min(rest, key=lambda i: values[i])] = Count(None, "hidden")
        return counts

    def share(self, hits: int, total: int) -> float | None:
        """`hits` / `total`, or None where either part of the total must not be shown, or there is nothing."""
        if not total or (hits and self.hides(hits)) or (total - hits and self.hides(total - hits)):
            return None
        return hits / total if not self.hides(total) else None


def read_disclosure(run: Run, smallest: int) -> Disclosure:
    """The cards of a run's data sets; one whose card is missing or cannot be read is restricted."""
    cards: dict[str, Card | None] = {}
    for name in run.datasets():
        try:
            cards[name] = read_card(run.folder / "ingest" / name / "card.json")
        except UserError:
            cards[name] = None
    return Disclosure(cards, smallest)


def dataset_of(shard: str) -> str:
    """The data set of a shard's name (``phantom-000``)."""
    return shard.rpartition("-")[0]
