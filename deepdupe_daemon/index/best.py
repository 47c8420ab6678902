"""The best rows of each query, gathered block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.index.places import I64Array

__all__ = ["Best"]


class Best:
    """Keeps the `limit` best finds of each query, by similarity, then by image id. Owned by one search."""

    def __init__(self, queries: int, limit: int) -> None:
        self._queries = queries
        self._limit = limit
        self._query: I64Array = np.empty(0, np.int64)
        self._id: I64Array = np.empty(0, np.int64)
        self._similarity: npt.NDArray[np.float64] = np.empty(0, np.float64)

    def put(self, query: I64Array, image_id: I64Array, similarity: npt.NDArray[np.float64]) -> None:
        """Finds to weigh: three arrays of one length."""
        self._query = np.concatenate([self._query, query])
        self._id = np.concatenate([self._id, image_id])
        self._similarity = np.concatenate([self._similarity, similarity])
        order = np.lexsort((self._id, -self._similarity, self._query))
        starts = np.searchsorted(self._query[order], np.arange(self._queries))
        rank = np.arange(len(order)) - starts[self._query[order]]
        order = order[rank < self._limit]
        self._query, self._id, self._similarity = self._query[order], self._id[order], self._similarity[order]

    def floors(self, threshold: float) -> npt.NDArray[np.float64]:
        """What a find must reach, per query: `threshold` until there are `limit` finds, then the worst of them."""
        floors = np.full(self._queries, threshold, dtype=np.float64)
        ends = np.searchsorted(self._query, np.arange(self._queries), side="right")
        full = np.bincount(self._query, minlength=self._queries) >= self._limit
        floors[full] = self._similarity[ends[full] - 1]
        return floors

    def lists(self) -> list[list[tuple[int, float]]]:
        """(image id, similarity) of each query's finds, best first."""
        out: list[list[tuple[int, float]]] = [[] for _ in range(self._queries)]
        finds = zip(self._query.tolist(), self._id.tolist(), self._similarity.tolist(), strict=True)
        for query, image_id, similarity in finds:
            out[query].append((image_id, similarity))
        return out
