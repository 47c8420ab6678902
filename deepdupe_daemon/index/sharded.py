"""One writer for each server that the collections are spread over; to others they are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index.collection import Scalar
from deepdupe_daemon.index.following import node_of
from deepdupe_daemon.index.place import settle_place
from deepdupe_daemon.index.shard import Shard
from deepdupe_daemon.index.standing import StoreNotice, WriterStatus, merged
from deepdupe_daemon.index.writer import CollectionWriter
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import F32Array

__all__ = ["ShardedWriter"]

Found = tuple[str, float, Mapping[str, Scalar]]


class ShardedWriter:
    """The writers of all shards: one for the embedded store or a single server.

    Each shard has a thread, a ledger connection and a process of its own, so a server that is away holds up its own
    rows and no others.
    """

    def __init__(
        self,
        state_dir: Path,
        config: ChromaConfig,
        open_ledger: Callable[[], Ledger],
        clock: Clock,
        on_notice: Callable[[StoreNotice], None],
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._open_ledger = open_ledger
        self._clock = clock
        count = len(config.servers) if config.mode == "server" else 1
        self._writers = [
            CollectionWriter(
                state_dir, config, open_ledger, clock, on_notice, environ=environ, shard=Shard(number, count)
            )
            for number in range(count)
        ]

    def start(self) -> None:
        if self._config.mode == "off":
            return
        with self._open_ledger() as ledger:
            settle_place(ledger, self._config)
            if self._config.mode == "server":
                node_of(ledger)  # made before there are threads that could each make one
        for writer in self._writers:
            writer.start()

    def poke(self) -> None:
        for writer in self._writers:
            writer.poke()

    def stop(self, timeout_s: float) -> None:
        """As `CollectionWriter.stop`, all at once: `timeout_s` is for all of them together."""
        deadline_s = self._clock.monotonic_s() + timeout_s
        for writer in self._writers:
            writer.ask_to_stop()
        for writer in self._writers:
            writer.stop(max(0.0, deadline_s - self._clock.monotonic_s()))

    def status(self) -> WriterStatus:
        return merged([writer.status() for writer in self._writers])

    def lag_rows(self) -> int:
        """As `CollectionWriter.lag_rows`: nobody waits for a server that is away."""
        return sum(writer.lag_rows() for writer in self._writers)

    def query(self, space: str, queries: F32Array, limit: int, timeout_s: float = 60.0) -> list[list[Found]]:
        """The `limit` best of what every shard finds. Raises as `CollectionWriter.query` where one cannot answer."""
        answers = [writer.query(space, queries, limit, timeout_s) for writer in self._writers]
        return [best(found, limit) for found in zip(*answers, strict=True)]

    def read_back(self, space: str, timeout_s: float = 60.0) -> tuple[list[str], list[Mapping[str, Scalar]], F32Array]:
        """What the shards hold, one after the other."""
        parts = [writer.read_back(space, timeout_s) for writer in self._writers]
        ids = [row_id for part in parts for row_id in part[0]]
        metadatas = [facts for part in parts for facts in part[1]]
        rows = [part[2] for part in parts if len(part[0])]
        return ids, metadatas, np.concatenate(rows) if rows else parts[0][2]


def best(found: tuple[list[Found], ...], limit: int) -> list[Found]:
    """The `limit` best of several lists: by likeness, then by id, whatever the order of the lists."""
    return sorted((one for each in found for one in each), key=lambda one: (-one[1], one[0]))[:limit]
