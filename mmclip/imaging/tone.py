"""From stored values to grey levels: rescaling, window or look-up table, and which end is white (DICOM PS3.3, C.11).

It is applied to the image that was shrunk already: averaging comes first, on the stored values, as a coarser detector
would have done it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Values = NDArray[np.float64]
Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]

_PERCENTILES = (0.1, 99.9)
"""Of an image without a window: what becomes black and white; beyond them lie markers and dead pixels."""


@dataclass(frozen=True)
class Window:
    """Which values are shown: `center` and `width` in rescaled values, and the VOI LUT function."""

    center: float
    width: float
    function: Function = "LINEAR"

    def levels(self, values: Values) -> Values:
        """Values as levels of 0..1 (PS3.3, C.11.2.1.2 and C.11.2.1.3)."""
        if self.function == "SIGMOID":
            slope = np.clip(-4 * (values - self.center) / self.width, -700, 700)
            return np.asarray(1 / (1 + np.exp(slope)), dtype=np.float64)
        low, high = self.edges()
        if low >= high:  # a width of one step is a threshold
            return np.asarray(values > low, dtype=np.float64)
        return np.clip((values - low) / (high - low), 0, 1)

    def edges(self) -> tuple[float, float]:
        """The values that become black and white; of a sigmoid those of the linear window of its slope."""
        if self.function == "LINEAR":
            return self.center - 0.5 - (self.width - 1) / 2, self.center - 0.5 + (self.width - 1) / 2
        return self.center - self.width / 2, self.center + self.width / 2


@dataclass(frozen=True)
class Table:
    """A look-up table: its first entry stands for the value `first` and all below, its last for all above."""

    first: int
    entries: NDArray[np.uint16]
    bits: int

    def lookup(self, values: Values) -> Values:
        """The entries of values, which are rounded."""
        place = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.int64)
        return np.asarray(self.entries[place], dtype=np.float64)


@dataclass(frozen=True)
class Tone:
    """How an image's stored values are shown.

    Attributes:
        slope, intercept: of the rescaling, which comes first; `rescale` replaces them where a file has a table.
        window: None where the file names none.
        table: of levels, in place of the window.
        inverted: the lowest value is white (MONOCHROME1).
        levels: of values that are grey levels already where no window says otherwise: the highest; else None.
    """

    slope: float = 1.0
    intercept: float = 0.0
    rescale: Table | None = None
    window: Window | None = None
    table: Table | None = None
    inverted: bool = False
    levels: int | None = None

    def show(self, stored: NDArray[np.generic]) -> tuple[Gray, tuple[float, float] | None]:
        """Grey levels, and which rescaled values became black and white (swapped where the tone is inverted).

        Without a window, or with one in which all is equally black or white, the percentiles 0.1 and 99.9 count.
        """
        values = stored.astype(np.float64)
        values = values * self.slope + self.intercept if self.rescale is None else self.rescale.lookup(values)
        levels, used = self._window(values)
        if self.inverted:
            levels, used = 1 - levels, None if used is None else (used[1], used[0])
        return np.rint(levels * 255).astype(np.uint8), used

    def _window(self, values: Values) -> tuple[Values, tuple[float, float] | None]:
        if self.table is not None:
            levels = np.clip(self.table.lookup(values) / (2**self.table.bits - 1), 0, 1)
            used = float(self.table.first), float(self.table.first + len(self.table.entries) - 1)
            if levels.min() < levels.max():
                return levels, used
        if self.window is not None:
            levels = self.window.levels(values)
            if levels.min() < levels.max():
                return levels, self.window.edges()
        if self.levels is not None:
            return np.clip(values / self.levels, 0, 1), None
        low, high = (float(edge) for edge in np.percentile(values, _PERCENTILES))
        if low == high:  # nearly all values are equal: the few others decide
            low, high = float(values.min()), float(values.max())
        if low == high:
            return np.zeros_like(values), (low, high)
        return np.clip((values - low) / (high - low), 0, 1), (low, high)
