"""Exact recall: every image at or above the threshold is found, none is missed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.index.blockmemory import BlockMemory
from deepdupe_daemon.index.dense import DenseStore
from deepdupe_daemon.index.packed import PackedStore, are_signs
from deepdupe_daemon.index.places import I64Array
from deepdupe_daemon.index.scorer import HostScorer, Scorer
from deepdupe_daemon.model import Candidate, F32Array

__all__ = ["ExactIndex"]


class ExactIndex:
    """The vectors of every active space, in memory. Owned by one thread: it has no lock.

    A space whose first rows are all +-1/sqrt(dim) is held as packed bits; it turns into float16 rows when a row comes
    that is not. Both give the same similarities, so nothing outside can tell.
    """

    def __init__(
        self, scorer: Scorer | None = None, *, budget_bytes: int | None = None, spill_dir: Path | None = None
    ) -> None:
        """`budget_bytes`: what float16 rows may take of the memory; the rest lies in nameless files in `spill_dir`."""
        self._memory = BlockMemory(budget_bytes, spill_dir)
        self._scorer: Scorer = scorer if scorer is not None else HostScorer()
        self._dims: dict[str, int] = {}
        self._stores: dict[str, DenseStore | PackedStore] = {}

    def open_space(self, name: str, dim: int) -> None:
        """Begin an empty space, or go on with the one of that name. Raises ValueError if it has another dimension."""
        if dim < 1:
            raise ValueError(f"space {name}: dimension {dim}")
        if self._dims.setdefault(name, dim) != dim:
            raise ValueError(f"space {name} has dimension {self._dims[name]}, not {dim}")

    def close_space(self, name: str) -> None:
        """Forget a space and give its memory back."""
        self._dims.pop(name, None)
        store = self._stores.pop(name, None)
        if isinstance(store, DenseStore):
            store.close()

    def load(self, name: str, chunks: Iterable[tuple[I64Array, npt.NDArray[np.floating]]]) -> int:
        """Add what the ledger holds, chunk by chunk; gives the number of rows read."""
        rows_read = 0
        for ids, rows in chunks:
            self.add(name, ids, rows)
            rows_read += len(ids)
        return rows_read

    def add(self, name: str, ids: I64Array, rows: npt.NDArray[np.floating]) -> None:
        """Add rows (n, dim), float32 or float16, for image ids (n,); an id that is there already gets the new row.

        Raises KeyError for a space that was not opened, ValueError for a shape that does not fit
        and for a row that is not of unit length.
        """
        ids, rows = np.asarray(ids, dtype=np.int64), np.asarray(rows)
        if rows.shape != (len(ids), self._dims[name]):
            raise ValueError(
                f"space {name}: {len(ids)} ids with rows of shape {rows.shape}, dimension {self._dims[name]}"
            )
        if not len(ids):
            return
        store = self._stores.get(name)
        if isinstance(store, DenseStore) and not len(store):
            store.close()
            store = None
        if store is None:
            store = self._stores[name] = PackedStore(rows.shape[1]) if are_signs(rows) else self._dense(rows.shape[1])
        elif isinstance(store, PackedStore) and not are_signs(rows):
            store = self._unpack(name, store)
        store.put(ids, rows)

    def remove(self, name: str, ids: I64Array) -> None:
        """Forget images; unknown ids are no error."""
        store = self._stores.get(name)
        if store is not None:
            store.remove(np.asarray(ids, dtype=np.int64))

    def keep_only(self, name: str, living: I64Array) -> int:
        """Forget every image but those of `living` (n,) ids, in any order. Gives how many were forgotten."""
        store = self._stores.get(name)
        if store is None:
            return 0
        gone = np.setdiff1d(store.ids, living)
        store.remove(gone)
        return len(gone)

    def search(self, name: str, queries: F32Array, threshold: float, limit: int) -> list[list[Candidate]]:
        """For each query row (q, dim): all images with cosine >= `threshold`, the best `limit` of them.

        Sorted by similarity, highest first, then by image id. Raises KeyError and ValueError as `add` does.
        """
        queries = np.asarray(queries)
        if queries.ndim != 2 or queries.shape[1] != self._dims[name]:
            raise ValueError(f"space {name}: queries of shape {queries.shape}, dimension {self._dims[name]}")
        store = self._stores.get(name)
        if store is None or limit < 1 or not len(queries):
            return [[] for _ in queries]
        if isinstance(store, PackedStore) and not are_signs(queries):
            store = self._unpack(name, store)
        return [
            [Candidate(name, image_id, similarity) for image_id, similarity in found]
            for found in store.search(queries, threshold, limit)
        ]

    def size(self, name: str) -> int:
        """How many images the space holds. Raises KeyError for a space that was not opened."""
        return len(self._stores[name]) if name in self._stores else 0 * self._dims[name]

    def spaces(self) -> tuple[str, ...]:
        return tuple(self._dims)

    def describe(self, name: str) -> str:
        """What serves the space, for `status`: "256-bit words on the host", "float16 on cuda:0"."""
        store = self._stores.get(name)
        return store.describe() if store is not None else "empty"

    def memory_bytes(self) -> int:
        """Bytes held for rows and ids, on the host and on the scorer's device, but for those in files."""
        return sum(store.memory_bytes() for store in self._stores.values()) - self._memory.filed_bytes

    def filed_bytes(self) -> int:
        """Bytes of rows beyond the budget, which the kernel keeps in memory as long as there is room."""
        return self._memory.filed_bytes

    def _dense(self, dim: int) -> DenseStore:
        try:
            return DenseStore(dim, self._scorer, self._memory)
        except MemoryError:
            return DenseStore(dim, HostScorer(), self._memory)

    def _unpack(self, name: str, packed: PackedStore) -> DenseStore:
        store = self._stores[name] = self._dense(packed.dim)
        store.put(*packed.contents())
        return store
