"""What the judging thread is handed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from deepdupe_daemon.errors import FileFailed
from deepdupe_daemon.model import F32Array, FileKey, Sighting

__all__ = ["Embedded", "Failed", "Inbox", "Item", "Known", "Question"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A file was seen by every model. `vectors`: space name -> (dim,) float32."""

    file_id: int
    sighting: Sighting
    vectors: dict[str, F32Array]


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes are known already: no decode, no forward pass."""

    file_id: int
    key: FileKey
    digest: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that could not be seen."""

    file_id: int
    key: FileKey
    attempts: int
    error: FileFailed


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only the judging thread may answer, since it owns the index: `ask()` runs there."""

    ask: Callable[[], Any]
    answer: Future[Any] = field(default_factory=Future)


Item = Embedded | Known | Failed | Question


class Inbox:
    """Items for one reader, from any thread. Bounded by what is in flight, which the feeder bounds."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: list[Item] = []
        self._poked = False
        self._closed = False

    def put(self, item: Item) -> bool:
        """False once closed: the item is dropped, and its file stays as the ledger has it."""
        with self._condition:
            if not self._closed:
                self._items.append(item)
                self._condition.notify()
            return not self._closed

    def poke(self) -> None:
        """Let the reader look at the ledger, without an item."""
        with self._condition:
            self._poked = True
            self._condition.notify()

    def take(self, limit: int) -> list[Item]:
        """Up to `limit` items in order; waits for one, or for a poke (then perhaps none), or for the end."""
        with self._condition:
            while not (self._items or self._poked or self._closed):
                self._condition.wait()
            self._poked = False
            taken, self._items = self._items[:limit], self._items[limit:]
            return taken

    def close(self) -> None:
        """No more items are taken in; those inside are still given out."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    @property
    def finished(self) -> bool:
        with self._condition:
            return self._closed and not self._items

    def __len__(self) -> int:
        with self._condition:
            return len(self._items)
