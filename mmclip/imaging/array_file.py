"""A NumPy array file that grows by rows while it is written."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray


class ArrayFile:
    """Writes uint8 squares [rows, size, size] one block after another; the number of rows is known at the end only.

    The file is complete when the `with` block ends, and can then be opened by ``np.load(path, mmap_mode="r")``.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.rows = 0
        self._size = size
        self._file = path.open("wb")
        self._file.write(header(0, size))

    def append(self, pixels: NDArray[np.uint8]) -> None:
        """Add squares [n, size, size]."""
        self._file.write(np.ascontiguousarray(pixels).data)
        self.rows += len(pixels)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.seek(0)
            self._file.write(header(self.rows, self._size))
        self._file.close()


def header(rows: int, size: int) -> bytes:
    """The start of a .npy file (format 1.0); its length does not depend on the number of rows.

    NumPy pads the header so that the first dimension can grow in place.
    """
    buffer = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (rows, size, size)}
    np.lib.format.write_array_header_1_0(buffer, shape)
    return buffer.getvalue()
