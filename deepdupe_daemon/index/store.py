"""The store as the writer sees it: Chroma embedded in a process of its own, or a server behind that process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.errors import StoreError
from deepdupe_daemon.index.chroma_child import ChromaChild, StoreRefused
from deepdupe_daemon.index.collection import Scalar, collection_metadata, collection_name, server_collection_name
from deepdupe_daemon.index.halfrows import F16Array
from deepdupe_daemon.index.headers import read_headers
from deepdupe_daemon.index.shard import WHOLE, Shard
from deepdupe_daemon.index.wire import Message
from deepdupe_daemon.model import F32Array, SpaceKey

__all__ = ["STORE_NAME", "Store"]

STORE_NAME = "chroma"
_LOCK_NAME = "chroma.lock"
_WORK_NAME = "chroma-process"

# Opening replays up to sync_threshold rows, waits for an earlier process to finish, and reads all of a large store.
_OPEN_TIMEOUT_S = 1800.0
# A batch of 5,000 rows takes some 8 s on a busy core; what takes this long hangs.
_CALL_TIMEOUT_S = 600.0
#: a server does in 10 s what was ever seen of it; one that takes a connection and says nothing is tried again
_SERVER_TIMEOUT_S = 120.0
_READ_ROWS = 2000


class Store:
    """At most one process at a time. Owned by the writer's thread. Methods raise StoreRefused and ChildLost."""

    def __init__(
        self,
        state_dir: Path,
        config: ChromaConfig,
        environ: Mapping[str, str],
        *,
        graph: Mapping[str, int] | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        """`graph`: HNSW settings of new collections other than Chroma's defaults, such as `{"max_neighbors": 48}`.

        `shard`: in server mode, which of the servers this is.
        """
        self.path = state_dir / STORE_NAME
        self.embedded = config.mode == "embedded"
        self._state_dir = state_dir
        self._config = config
        self._environ = environ
        self._graph = dict(graph or {})
        self.shard = shard
        self._url = "" if self.embedded else config.servers[shard.number]
        self._child: ChromaChild | None = None
        self._names: dict[str, tuple[int, str]] = {}

    def collection(self, key: SpaceKey, generation: int) -> str:
        """Chroma's name for a space's collection."""
        return collection_name(key.name, generation) if self.embedded else server_collection_name(key, self.shard)

    @property
    def is_open(self) -> bool:
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """Of the process that holds Chroma."""
        return self._child.pid if self._child is not None else None

    def is_missing(self) -> bool:
        """Embedded: there is no store, so whatever the ledger calls stored is not."""
        return not (self.path / "chroma.sqlite3").exists()

    def was_left_open(self) -> bool:
        """Embedded: the last process that had the store did not close it, so look at once whether it is sound."""
        try:
            with open(self._state_dir / _LOCK_NAME, "rb") as file:
                return file.read(4) == b"open"
        except FileNotFoundError:
            return False

    def open(self) -> Mapping[str, int]:
        """Start the process, let it check and open the store; gives the rows of each collection. Server: connect."""
        ask: Message = {"op": "open", "mode": self._config.mode}
        if self.embedded:
            ask |= {"path": str(self.path), "lock": str(self._state_dir / _LOCK_NAME)}
        else:
            headers = read_headers(self._config.headers_credential, self._environ)
            ask |= {"url": self._url, "headers": headers}
            ask |= {"tenant": self._config.tenant, "database": self._config.database}
        self._child = ChromaChild(self._state_dir / f"{_WORK_NAME}{self.shard.suffix}")
        timeout_s = _OPEN_TIMEOUT_S if self.embedded else _SERVER_TIMEOUT_S
        counts: dict[str, int] = self._ask(ask, timeout_s=timeout_s)[0]["counts"]
        return counts

    def ensure(self, key: SpaceKey, generation: int) -> tuple[bool, int] | None:
        """Get or create the collection of a space, verified: (created now, rows). None if that was done before."""
        if self._names.get(key.name, (None,))[0] == generation:
            return None
        name = self.collection(key, generation)
        answer, _ = self._ask(
            {
                "op": "collection",
                "name": name,
                "metadata": collection_metadata(key, generation if self.embedded else 0),
                "hnsw": {**self._graph, "space": "cosine", "sync_threshold": self._config.sync_threshold},
            }
        )
        self._names[key.name] = (generation, name)
        return answer["created"], answer["count"]

    def forget(self, space: str) -> None:
        """The next `ensure` asks again."""
        self._names.pop(space, None)

    def put(self, space: str, ids: Sequence[str], metadatas: Sequence[Mapping[str, Scalar]], rows: F16Array) -> None:
        """Upsert float16 rows (n, dim)."""
        ask = {"op": "upsert", "name": self._name(space), "dim": rows.shape[1], "ids": ids, "metadatas": metadatas}
        self._ask(ask, np.ascontiguousarray(rows, dtype="<f2").tobytes())

    def drop(self, space: str, ids: Sequence[str]) -> None:
        """Delete rows; ids that are not there are no error."""
        self._ask({"op": "delete", "name": self._name(space), "ids": ids})

    def drop_collection(self, name: str) -> bool:
        """Delete a whole collection by Chroma's name for it. Says whether it was there."""
        return bool(self._ask({"op": "forget", "name": name})[0]["there"])

    def drop_node(self, name: str, node: str) -> bool:
        """Delete one node's rows of a collection that others share. Says whether the collection was there."""
        return bool(self._ask({"op": "forget", "name": name, "node": node})[0]["there"])

    def count_node(self, space: str, node: str) -> int:
        """How many rows of one node the collection has."""
        return int(self._ask({"op": "count", "name": self._name(space), "node": node})[0]["count"])

    def count(self, space: str) -> int:
        return int(self._ask({"op": "count", "name": self._name(space)})[0]["count"])

    def query(self, space: str, queries: F32Array, limit: int) -> list[list[tuple[str, float, Mapping[str, Scalar]]]]:
        """Chroma's own approximate search: for each query row (id, cosine, metadata), best first."""
        ask = {"op": "query", "name": self._name(space), "dim": queries.shape[1], "limit": limit}
        found, _ = self._ask(ask, np.ascontiguousarray(queries, dtype="<f4").tobytes())
        return [
            [(row_id, 1.0 - distance, metadata or {}) for row_id, distance, metadata in zip(*one, strict=True)]
            for one in zip(found["ids"], found["distances"], found["metadatas"], strict=True)
        ]

    def read(self, space: str) -> tuple[list[str], list[Mapping[str, Scalar]], F32Array]:
        """Everything a collection holds: ids, metadata, float32 rows (n, dim)."""
        ids: list[str] = []
        metadatas: list[Mapping[str, Scalar]] = []
        parts: list[bytes] = []
        while True:
            ask = {"op": "read", "name": self._name(space), "limit": _READ_ROWS, "offset": len(ids)}
            page, rows = self._ask(ask)
            ids += page["ids"]
            metadatas += page["metadatas"]
            parts.append(rows)
            if len(page["ids"]) < _READ_ROWS:
                matrix: F32Array = np.frombuffer(b"".join(parts), dtype="<f4").reshape(len(ids), -1 if ids else 0)
                return ids, metadatas, matrix

    def end(self, timeout_s: float) -> bool:
        """Close the store and the process. Says whether it has ended; one that is still writing ends by itself."""
        child, self._child = self._child, None
        self._names.clear()
        return child.end(timeout_s) if child is not None else True

    def _name(self, space: str) -> str:
        return self._names[space][1]

    def _ask(self, ask: Message, payload: bytes = b"", timeout_s: float | None = None) -> tuple[Message, bytes]:
        if self._child is None:
            raise StoreError("the store is not open")
        if timeout_s is None:
            timeout_s = _CALL_TIMEOUT_S if self.embedded else _SERVER_TIMEOUT_S
        try:
            return self._child.ask(ask, payload, timeout_s=timeout_s)
        except StoreRefused as refused:
            refused.where = str(self.path) if self.embedded else self._url
            raise
