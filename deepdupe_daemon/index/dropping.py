"""What no space uses any longer is deleted from Chroma when a person asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index.following import node_of
from deepdupe_daemon.index.shard import Shard
from deepdupe_daemon.index.store import Store
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import SpaceKey

__all__ = ["drop_collections"]

_END_TIMEOUT_S = 60.0


def drop_collections(
    state_dir: Path,
    config: ChromaConfig,
    ledger: Ledger,
    generations: Iterable[tuple[SpaceKey, int]],
    environ: Mapping[str, str],
) -> list[str]:
    """Delete the collections of (space, generation) pairs; gives the names of those that were there.

    On a server it is only this ledger's rows, because other daemons may still use the collection. Only for a process
    that holds the state lock. Raises StoreError where the store cannot be opened now.
    """
    wanted = list(generations)
    if config.mode == "off" or not wanted:
        return []
    dropped = []
    count = len(config.servers) if config.mode == "server" else 1
    for number in range(count):
        store = Store(state_dir, config, environ, shard=Shard(number, count))
        if store.embedded and store.is_missing():
            continue
        try:
            store.open()
            for key, generation in wanted:
                name = store.collection(key, generation)
                there = store.drop_collection(name) if store.embedded else store.drop_node(name, node_of(ledger))
                dropped += [name] * there
        finally:
            store.end(_END_TIMEOUT_S)
    return dropped
