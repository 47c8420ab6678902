"""What goes from intake into the ledger: arrivals and removals, in batched transactions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from deepdupe_daemon.intake.mounts import is_below
from deepdupe_daemon.intake.settle import identity_of
from deepdupe_daemon.ledger import Ledger, Noted
from deepdupe_daemon.model import Arrival, FileKey

__all__ = ["Deliveries"]

#: Rows a transaction. 1,000 new rows take about 50 ms and one sync to the disk.
_BATCH = 1000
#: names that go in a transaction: about 10 ms, most of which is the sync
_GONE_BATCH = 256


class Deliveries:
    """Gathers arrivals for a transaction and counts. Owned by the lane's thread, like the ledger it writes to."""

    def __init__(self, ledger: Ledger, on_pending: Callable[[], None]) -> None:
        self.found_files = 0
        self.gone_files = 0
        self._ledger = ledger
        self._on_pending = on_pending
        self._waiting: list[Arrival] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, arrivals: Sequence[Arrival]) -> None:
        """Take arrivals; a full batch is written at once. Raises StateError; what could not be written is kept."""
        self._waiting.extend(arrivals)
        while len(self._waiting) >= _BATCH:
            self.flush()

    def add_found(self, path: bytes, root: bytes, status: os.stat_result, *, live: bool) -> None:
        """The same for one file that a walk has just met."""
        self._waiting.append(Arrival(FileKey(path, identity_of(status)), root, live))
        if len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what waits, in one transaction, and tell when there is work."""
        if not self._waiting:
            return
        noted = self._ledger.note_arrivals(self._waiting[:_BATCH])
        del self._waiting[:_BATCH]
        found = sum(note is not Noted.KNOWN for note in noted)
        if found:
            self.found_files += found
            self._on_pending()

    def remove(self, gone: Sequence[bytes], *, whole_trees: bool) -> Iterator[None]:
        """These files, sorted by path, are no longer there. A slice a transaction.

        With `whole_trees` a directory that is itself gone goes in one transaction with everything that is known below.
        """
        before = self.gone_files
        tree: bytes | None = None
        single: list[bytes] = []
        for path in gone:
            if tree is not None and is_below(path, tree):
                continue
            tree = _highest_gone_folder(path) if whole_trees else None
            if tree is None:
                single.append(path)
            else:
                self.gone_files += self._ledger.note_gone_tree(tree)
                yield
            if len(single) >= _GONE_BATCH:
                self.gone_files += self._ledger.note_gone_many(single)
                single.clear()
                yield
        self.gone_files += self._ledger.note_gone_many(single)
        if self.gone_files > before:
            self._on_pending()  # verdicts may rest on what is gone


def _highest_gone_folder(path: bytes) -> bytes | None:
    """The highest directory above `path` that is not there; None where the directory of `path` is there."""
    highest = None
    folder = os.path.dirname(path)
    while not os.path.lexists(folder):
        highest = folder
        folder = os.path.dirname(folder)
    return highest
