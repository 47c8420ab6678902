"""Recalled: which known images are near to a new one.

This room promises: `ExactIndex` misses nothing (recall 1.0, at any batch size, on any device), and gives the same
similarity for a pair whatever the order, batch or restart. `CollectionWriter` keeps one Chroma collection per space
behind the ledger, for other programs; no verdict waits for it, and whatever becomes of it, the ledger fills it again.

Importing this package loads nothing heavy; its names load on first use. Only `chroma_process`, which runs as a process
of its own, ever imports chromadb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdupe_daemon.index.dropping import drop_collections
    from deepdupe_daemon.index.exact import ExactIndex
    from deepdupe_daemon.index.halfrows import HalfRows
    from deepdupe_daemon.index.scorer import HostScorer, Scorer, Shelf
    from deepdupe_daemon.index.standing import SpaceStanding, StoreNotice, WriterState, WriterStatus
    from deepdupe_daemon.index.writer import CollectionWriter

__all__ = [
    "CollectionWriter",
    "ExactIndex",
    "HalfRows",
    "HostScorer",
    "Scorer",
    "Shelf",
    "SpaceStanding",
    "StoreNotice",
    "WriterState",
    "WriterStatus",
    "drop_collections",
]

_HOME = {
    "CollectionWriter": "writer",
    "ExactIndex": "exact",
    "HalfRows": "halfrows",
    "HostScorer": "scorer",
    "Scorer": "scorer",
    "Shelf": "scorer",
    "drop_collections": "dropping",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'standing')}"), name)
