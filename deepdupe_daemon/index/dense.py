"""The store of a space of real numbers: float16 rows, any scorer for the first pass, one exact second pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.index.best import Best
from deepdupe_daemon.index.blockmemory import BlockMemory
from deepdupe_daemon.index.halfrows import F16Array, F64Array, HalfRows, to_half, widen
from deepdupe_daemon.index.places import I64Array, Places
from deepdupe_daemon.index.scorer import HostScorer, Scorer
from deepdupe_daemon.model import F32Array

__all__ = ["DenseStore"]

_QUERIES_AT_ONCE = 512
_PAIRS_AT_ONCE = 512
#: similarities are multiples of it: finer than float16 rows can tell apart, and it holds every 1 - 2d/256 exactly
GRID = 2.0**-20


class DenseStore:
    """Exact cosine search over float16 rows. Owned by the thread that owns the index.

    The similarity of two images is the cosine of their float16 rows, summed in float64, on a grid of 2^-20.
    It depends on nothing else: not on batch, order of arrival, restart or device, nor on which of the two is the query.
    """

    def __init__(self, dim: int, scorer: Scorer, memory: BlockMemory | None = None) -> None:
        self.dim = dim
        self._places = Places()
        self._rows = HalfRows(dim, memory)
        self._shelf = scorer.shelf(self._rows)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def ids(self) -> I64Array:
        """The image id of every row, (n,): a view, valid until the next change."""
        return self._places.ids

    def put(self, ids: I64Array, rows: npt.NDArray[np.floating]) -> None:
        half, norms = to_half(rows, self.dim)
        self._rows.reserve(len(self._places) + len(ids))
        at = self._places.take(ids.tolist())
        self._rows.write(at, half, norms)
        self._tell(at)

    def remove(self, ids: I64Array) -> None:
        filled = []
        for image_id in ids.tolist():
            hole = self._places.drop(image_id)
            if hole is not None and hole[0] != hole[1]:
                self._rows.move(source=hole[1], target=hole[0])
                filled.append(hole[0])
        self._rows.release(len(self._places))
        self._tell(np.array([row for row in filled if row < len(self._places)], dtype=np.int64))

    def _tell(self, rows: I64Array) -> None:
        """Tell the shelf which rows changed, in runs. When its device has no room for them, the host takes over."""
        rows = np.unique(rows)
        if not len(rows):
            return
        try:
            for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
                self._shelf.changed(int(run[0]), int(run[-1]) + 1)
        except MemoryError:
            self._hand_over()

    def _hand_over(self) -> None:
        """The device has no room: the host scores from now on."""
        self._shelf = HostScorer().shelf(self._rows)

    def search(self, queries: F32Array, threshold: float, limit: int) -> list[list[tuple[int, float]]]:
        half, norms = to_half(queries, self.dim)
        found: list[list[tuple[int, float]]] = []
        for start in range(0, len(half), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            found += self._search(half[part], norms[part], threshold, limit)
        return found

    def _search(self, half: F16Array, norms: F64Array, threshold: float, limit: int) -> list[list[tuple[int, float]]]:
        best = Best(len(half), limit)
        wide = widen(half, np.empty(half.shape, dtype=np.int32))
        unit = np.divide(wide, norms[:, None], dtype=np.float32)
        floors = best.floors(threshold)
        step = self._shelf.block_rows(len(half))
        for start in range(0, len(self._places), step):
            stop = min(start + step, len(self._places))
            # 2^-20 below, because the similarity that counts is a rounded one
            reach = (floors - GRID).astype(np.float32)
            try:
                query, row = self._shelf.at_least(unit, reach, start, stop)
            except MemoryError:
                self._hand_over()
                query, row = self._shelf.at_least(unit, reach, start, stop)
            if not len(row):
                continue
            similarity = self._similarity(wide, norms, query, row)
            kept = similarity >= floors[query]
            best.put(query[kept], self._places.ids[row[kept]], similarity[kept])
            floors = best.floors(threshold)
        return best.lists()

    def _similarity(self, wide: F32Array, norms: F64Array, query: I64Array, row: I64Array) -> F64Array:
        """The cosine of each (query, row) pair, rounded to the grid. `wide` are the queries' float16 values."""
        out = np.empty(len(row), dtype=np.float64)
        scratch = np.empty((min(len(row), _PAIRS_AT_ONCE), self.dim), dtype=np.int32)
        for start in range(0, len(row), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            products = widen(self._rows.gather(row[part]), scratch)
            products *= wide[query[part]]  # exact: 11 bits of mantissa by 11 fit float32's 24
            lengths = norms[query[part]] * self._rows.norms_at(row[part])
            out[part] = products.sum(axis=1, dtype=np.float64) / lengths
        return np.clip(np.round(out / GRID) * GRID, -1.0, 1.0)

    def contents(self) -> tuple[I64Array, F16Array]:
        """Every (image id, row), for a move to another kind of store."""
        return self._places.ids.copy(), self._rows.gather(np.arange(len(self._places)))

    def describe(self) -> str:
        return self._shelf.describe()

    def close(self) -> None:
        self._rows.close()

    def memory_bytes(self) -> int:
        return self._places.memory_bytes() + self._rows.memory_bytes() + self._shelf.memory_bytes()
