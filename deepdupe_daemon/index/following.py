"""How the collections follow the ledger: what they lack is stored, what no file holds any longer is taken out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.errors import StoreError
from deepdupe_daemon.index.chroma_child import StoreRefused
from deepdupe_daemon.index.collection import row_id, row_metadata
from deepdupe_daemon.index.standing import Board, SpaceStanding, StoreNotice, WriterState
from deepdupe_daemon.index.store import Store
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import SpaceKey

__all__ = ["Follower", "node_of"]

_NODE_KEY = "node"


class Follower:
    """Owned by the writer's thread, with the ledger connection and the store that it is given."""

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        config: ChromaConfig,
        board: Board,
        on_notice: Callable[[StoreNotice], None],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._config = config
        self._board = board
        self._on_notice = on_notice
        self._uncounted: set[str] = set()
        # on a server, rows carry the name of the ledger that they are from; embedded there is only one
        self._node = "" if store.embedded else node_of(ledger)
        self._digests = store.shard.digests
        self._unchecked: set[str] = {key.name for key in ledger.spaces()}

    def work(self) -> list[SpaceKey]:
        """The spaces that have something to store or to take out; says on the board how far each is behind."""
        lags = self._ledger.unstored_counts(self._digests)
        standings, work = {}, []
        for key in self._ledger.spaces():
            generation = self._ledger.space_generation(key.name)
            known = self._board.status.spaces.get(key.name)
            if known is None or known.generation != generation:
                known = SpaceStanding(self._store.collection(key, generation), generation, None, 0)
            standings[key.name] = replace(known, lag_rows=lags.get(key.name, 0))
            if not known.refused and (lags.get(key.name) or len(self._ledger.unwanted(key.name, 1, self._digests)[0])):
                work.append(key)
        self._board.put_spaces(standings)
        return work

    def one_round(self, keys: Iterable[SpaceKey]) -> bool:
        """One batch for each of the spaces. Says whether a batch was full, so that more is likely to wait."""
        full = False
        for key in keys:
            self.open()
            if not self.ensure(key):
                continue
            self._board.put(WriterState.WRITING)
            handled = max(self._remove_batch(key), self._store_batch(key))
            full = full or handled == self._config.batch_rows
            self._uncounted.add(key.name)
        return full

    def count(self) -> None:
        """Say on the board how many rows the collections have that were written to."""
        while self._uncounted:
            name = self._uncounted.pop()
            self._board.put_space(name, rows=self._store.count(name))

    def open(self) -> None:
        """Open the store where it is not. Raises StoreRefused `full` below the floor of free space."""
        if self._store.embedded:
            self._check_space_left()
        if not self._store.is_open:
            self._board.put(WriterState.OPENING)
            self._store.open()

    def ensure(self, key: SpaceKey) -> bool:
        """The space's collection is there and is what it should be. One that is new or empty lacks every row."""
        try:
            ensured = self._store.ensure(key, self._ledger.space_generation(key.name))
        except StoreRefused as refused:
            if refused.kind != "mismatch":
                raise
            self._refuse(key, refused)
            return False
        if ensured is not None:
            created, rows = ensured
            if created or not rows or self._lost_rows(key):
                self._ledger.clear_stored(key.name, self._digests)
            self._board.put_space(key.name, rows=rows)
        return True

    def _lost_rows(self, key: SpaceKey) -> bool:
        """Whether a server has fewer of our rows than it took: it was restored from a copy, or made anew and others
        were quicker to fill it. Asked at the first opening and after trouble."""
        if self._store.embedded or key.name not in self._unchecked:
            return False
        stored = self._ledger.stored_count(key.name, self._digests)
        lost = stored > 0 and self._store.count_node(key.name, self._node) < stored
        self._unchecked.discard(key.name)
        return lost

    def forget(self) -> None:
        """The store was closed in trouble: what it holds is counted when it is opened again."""
        self._uncounted.clear()
        self._unchecked.update(key.name for key in self._ledger.spaces())

    def key_of(self, space: str) -> SpaceKey:
        """Raises StoreError for a space that the ledger does not know."""
        for key in self._ledger.spaces():
            if key.name == space:
                return key
        raise StoreError(f"there is no space {space}")

    def begin_again(self, *, new_generation: bool) -> int:
        """The store is gone: every wanted vector of every space waits to be stored. Gives their number."""
        for key in self._ledger.spaces():
            if new_generation:
                self._ledger.set_space_generation(key.name, self._ledger.space_generation(key.name) + 1)
            self._ledger.clear_stored(key.name, self._digests)
        return sum(self._ledger.unstored_counts(self._digests).values())

    def _store_batch(self, key: SpaceKey) -> int:
        ids, digests, rows = self._ledger.unstored(key.name, self._config.batch_rows, self._digests)
        if len(ids):
            metadatas = []
            for image_id in ids.tolist():
                image = self._ledger.image(image_id)
                assert image is not None, "a vector's image is in the ledger"
                metadatas.append(row_metadata(image, self._node))
            self._store.put(key.name, self._row_ids(digests), metadatas, rows)
            self._ledger.mark_stored(key.name, ids)
        return len(ids)

    def _remove_batch(self, key: SpaceKey) -> int:
        ids, digests = self._ledger.unwanted(key.name, self._config.batch_rows, self._digests)
        if len(ids):
            self._store.drop(key.name, self._row_ids(digests))
            self._ledger.mark_removed(key.name, ids)
        return len(ids)

    def _row_ids(self, digests: Iterable[bytes]) -> list[str]:
        return [row_id(digest, self._node) for digest in digests]

    def _check_space_left(self) -> None:
        """A full disk inside a persist destroys a store, so keep away from it."""
        disk = os.statvfs(self._store.path.parent)
        free = disk.f_bavail * disk.f_frsize
        floor = self._config.free_space_floor_bytes
        if free < floor:
            raise StoreRefused("full", f"{free >> 20} MiB are free, fewer than the {floor >> 20} MiB to be kept free")

    def _refuse(self, key: SpaceKey, refused: StoreRefused) -> None:
        name = self._board.status.spaces[key.name].collection
        text = f"the collection {name} holds vectors of another origin, nothing is written to it: {refused.what}"
        self._board.put_space(key.name, refused=text)
        remedy = f"deepdupe-daemon reindex --model {key.model}"
        self._on_notice(StoreNotice("space-mismatch", f"{text} ({remedy})"))


def node_of(ledger: Ledger) -> str:
    """The name that a ledger's rows carry on a server: 8 random hex digits, made once."""
    node = ledger.meta(_NODE_KEY)
    if node is None:
        node = os.urandom(4).hex()
        ledger.set_meta(_NODE_KEY, node)
    return node
