"""Collections that no space uses any longer are deleted when a person asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index.collection import collection_name
from deepdupe_daemon.index.store import Store

__all__ = ["drop_collections"]

_END_TIMEOUT_S = 60.0


def drop_collections(
    state_dir: Path, config: ChromaConfig, generations: Iterable[tuple[str, int]], environ: Mapping[str, str]
) -> list[str]:
    """Delete the collections of (space, generation) pairs; gives the names of those that were there.

    Only for a process that holds the state lock. Raises StoreError where the store cannot be opened now.
    """
    names = [collection_name(space, generation) for space, generation in generations]
    store = Store(state_dir, config, environ)
    if config.mode == "off" or not names or (store.embedded and store.is_missing()):
        return []
    try:
        store.open()
        return [name for name in names if store.drop_collection(name)]
    finally:
        store.end(_END_TIMEOUT_S)
