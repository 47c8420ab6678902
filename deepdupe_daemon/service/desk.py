"""A ledger connection that any thread may ask, through the one thread that owns it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from deepdupe_daemon.ledger import Ledger

__all__ = ["LedgerDesk"]

T = TypeVar("T")


class LedgerDesk:
    """SQLite connections belong to a thread; this one's lends itself out, a question at a time, in order."""

    def __init__(self, open_ledger: Callable[[], Ledger], name: str) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._ledger = self._thread.submit(open_ledger).result()

    def ask(self, question: Callable[[Ledger], T]) -> T:
        """What `question` returns or raises, run in the owning thread; blocks the caller meanwhile."""
        return self._thread.submit(question, self._ledger).result()

    def close(self) -> None:
        """After the questions that wait."""
        self._thread.submit(self._ledger.close).result()
        self._thread.shutdown()
