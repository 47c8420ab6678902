"""Where in a store the row of an image lies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["I64Array", "Places"]

#: an array of image ids or of row numbers
I64Array = npt.NDArray[np.int64]


class Places:
    """Image id <-> row number, rows always 0..n-1 without a gap. Owned by the thread that owns the index.

    A removed row's place is taken by the last row at once, so there are no tombstones to skip or to compact.
    """

    def __init__(self) -> None:
        self._row_of: dict[int, int] = {}
        self._ids: I64Array = np.empty(1024, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def ids(self) -> I64Array:
        """The image id of every row, (n,) int64: a view, valid until the next change."""
        return self._ids[: len(self._row_of)]

    def take(self, ids: Iterable[int]) -> I64Array:
        """The row number of each id, in order; an id that is new gets the next free row."""
        row_of = self._row_of
        rows = []
        for image_id in ids:
            row = row_of.get(image_id)
            if row is None:
                row = row_of[image_id] = len(row_of)
                if row == len(self._ids):
                    self._ids = np.concatenate([self._ids, np.empty_like(self._ids)])
                self._ids[row] = image_id
            rows.append(row)
        return np.array(rows, dtype=np.int64)

    def drop(self, image_id: int) -> tuple[int, int] | None:
        """Forget an id. Gives (vacated row, last row): the caller moves the last row there. None if unknown."""
        row = self._row_of.pop(image_id, None)
        if row is None:
            return None
        last = len(self._row_of)
        if row != last:
            moved = int(self._ids[last])
            self._ids[row] = moved
            self._row_of[moved] = row
        return row, last

    def memory_bytes(self) -> int:
        """Bytes held: the id array, and about 100 bytes per entry of the dictionary (measured, CPython 3.11)."""
        return self._ids.nbytes + 100 * len(self._row_of)
