"""Recalled: which known images are near to a new one.

This room promises: `ExactIndex` misses nothing (recall 1.0, at any batch size, on any device), and gives the same
similarity for a pair whatever the order, batch or restart. `CollectionWriter` keeps one Chroma collection per space
behind the ledger, for other programs, and `ShardedWriter` has one such writer for each server; no verdict waits for
them, and whatever becomes of a collection, the ledger fills it again.

Importing this package loads nothing heavy; its names load on first use. Only `chroma_process`, which runs as a process
of its own, ever imports chromadb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdupe_daemon.face import on_first_use

if TYPE_CHECKING:
    from deepdupe_daemon.index.dropping import drop_collections
    from deepdupe_daemon.index.exact import ExactIndex
    from deepdupe_daemon.index.halfrows import HalfRows
    from deepdupe_daemon.index.scorer import HostScorer, Scorer, Shelf
    from deepdupe_daemon.index.sharded import ShardedWriter
    from deepdupe_daemon.index.standing import SpaceStanding, StoreNotice, WriterState, WriterStatus
    from deepdupe_daemon.index.writer import CollectionWriter

__all__ = [
    "CollectionWriter",
    "ExactIndex",
    "HalfRows",
    "HostScorer",
    "Scorer",
    "ShardedWriter",
    "Shelf",
    "SpaceStanding",
    "StoreNotice",
    "WriterState",
    "WriterStatus",
    "drop_collections",
]

_HOMES = {
    "CollectionWriter": "writer",
    "ExactIndex": "exact",
    "HalfRows": "halfrows",
    "HostScorer": "scorer",
    "Scorer": "scorer",
    "ShardedWriter": "sharded",
    "Shelf": "scorer",
    "SpaceStanding": "standing",
    "StoreNotice": "standing",
    "WriterState": "standing",
    "WriterStatus": "standing",
    "drop_collections": "dropping",
}

__getattr__ = on_first_use(__name__, _HOMES)
