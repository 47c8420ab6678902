"""The first pass of an exact search: which rows may reach the floor. The seam where a device comes in.

A first pass may be rough as long as it says how rough: every row it returns is scored again from its float16 values,
and it returns all rows whose rough score is not below floor - margin. So the result is exact whatever the device.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from deepdupe_daemon.index.halfrows import HalfRows, widen
from deepdupe_daemon.index.places import I64Array
from deepdupe_daemon.model import F32Array

__all__ = ["HostScorer", "HostShelf", "Scorer", "Shelf"]


class Shelf(Protocol):
    """One space's rows as a scorer holds them. Used by the thread that owns the index, and by no other."""

    #: the largest |rough score - true cosine| over unit rows; rows below floor - margin may be left out, no others
    margin: float

    def block_rows(self, queries: int) -> int:
        """How many rows one call of `at_least` should cover, so that its scratch memory stays bounded."""
        ...

    def changed(self, start: int, stop: int) -> None:
        """Rows start..stop-1 are new or have other values: read them again with `HalfRows.unit(start, stop)`."""
        ...

    def at_least(self, queries: F32Array, floors: F32Array, start: int, stop: int) -> tuple[I64Array, I64Array]:
        """Every (query number, row number) with row in start..stop-1 and rough score >= floors[query] - margin.

        `queries` (q, dim) float32 unit rows, `floors` (q,) float32. Only rows that `changed` named are asked for.
        """
        ...

    def memory_bytes(self) -> int:
        """Bytes held for the rows, on whatever device."""
        ...

    def describe(self) -> str:
        """For `status`: "float16 on cuda:0"."""
        ...


class Scorer(Protocol):
    """Makes the shelf of a space. The service injects one that runs on the model's device; default is `HostScorer`."""

    def shelf(self, rows: HalfRows) -> Shelf:
        """A shelf over `rows`, empty at this moment. May raise MemoryError; the index then falls back to the host."""
        ...


class HostScorer:
    """float32 products in numpy straight from the float16 rows: no second copy of them. Stateless."""

    def shelf(self, rows: HalfRows) -> Shelf:
        return HostShelf(rows)


class HostShelf:
    """See `HostScorer`. 30 ms for one query, 2.2 ms a query in batches of 400, over 100,000 x 1,024 on one core."""

    #: Up to so many queries no threaded product: OpenBLAS's threads spin while they wait for one another. On a busy
    #: machine of two cores a single query over 50,000 x 1,024 took 352 ms of processor time, where one thread takes 21.
    FEW = 8
    STEP = 1024  # rows widened at a time: 4 MiB at 1,024 dimensions; 256 and 4,096 were 5 to 15 % slower

    def __init__(self, rows: HalfRows) -> None:
        self._rows = rows
        # the bound for a float32 product of unit rows, n * 2^-24 (Higham 2002, section 3.1), twice
        self.margin = rows.dim * 2.0**-23
        self._scratch = np.empty((self.STEP, rows.dim), dtype=np.int32)

    def block_rows(self, queries: int) -> int:
        return max(self.STEP, (16 << 20) // max(1, queries))

    def changed(self, start: int, stop: int) -> None:
        pass  # it reads the rows where they are

    def at_least(self, queries: F32Array, floors: F32Array, start: int, stop: int) -> tuple[I64Array, I64Array]:
        lowest = floors - np.float32(self.margin)
        found_queries, found_rows = [], []
        while start < stop:
            half = self._rows.piece(start, min(stop, start + self.STEP))
            scores = self._products(widen(half, self._scratch), queries)
            scores /= self._rows.norms(start, start + len(half))[:, None].astype(np.float32)
            row, query = np.nonzero(scores >= lowest)
            if len(row):
                found_queries.append(query.astype(np.int64, copy=False))
                found_rows.append(row.astype(np.int64, copy=False) + start)
            start += len(half)
        if not found_rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate(found_queries), np.concatenate(found_rows)

    def _products(self, rows: F32Array, queries: F32Array) -> F32Array:
        """(rows, queries)."""
        if len(queries) > self.FEW:
            return rows @ queries.T
        out = np.empty((len(queries), len(rows)), dtype=np.float32)
        for query, scores in zip(queries, out, strict=True):
            np.vecdot(rows, query, out=scores)
        return out.T

    def memory_bytes(self) -> int:
        return self._scratch.nbytes

    def describe(self) -> str:
        return "float32 on the host"
