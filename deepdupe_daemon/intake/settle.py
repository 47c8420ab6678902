"""Settling: when a file that something happened to counts as finished.

A file is offered when it has been quiet: no event for a while, and two looks that long apart found the same inode,
size, mtime and ctime. The while is `close_settle_s` after a close or a move into place, else `settle_s`. A file that
still changes waits on; so does an empty one, because empty files are mostly about to be written. A file that is offered
without having been closed may still be held open, and nothing says when its writer goes on: it is looked at again at
doubling gaps, up to an hour.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deepdupe_daemon.model import Arrival, FileIdentity, FileKey

__all__ = ["Settling", "identity_of"]

#: an open file is looked at until it has been quiet for this long; then its close or a walk tells
_LAST_LOOK_S = 3600.0
#: more files than this are not followed one by one: 65,536 entries take about 40 MB
_MOST = 65_536

#: (root, path) -> what rests there
Lstat = Callable[[bytes, bytes], os.stat_result]
_Look = tuple[int, int, int, int, int]


def identity_of(status: os.stat_result) -> FileIdentity:
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(slots=True)
class _Waiting:
    root: bytes
    live: bool
    closed: bool
    look: _Look
    changed_s: float  # when an event or a look last said that it changed
    due_s: float
    offered: bool = False


class Settling:
    """The files that wait to be quiet. Owned by one thread; times are monotonic seconds."""

    def __init__(self, settle_s: float, close_settle_s: float, *, lstat: Lstat, most: int = _MOST) -> None:
        self._settle_s = settle_s
        self._close_settle_s = close_settle_s
        self._lstat = lstat
        self._most = most
        self._files: dict[bytes, _Waiting] = {}
        self._open: set[bytes] = set()  # those of `_files` that were offered and may still be held open
        self._heap: list[tuple[float, bytes]] = []  # may hold stale entries: a file's own `due_s` decides
        self.troubles: list[tuple[bytes, OSError]] = []  # looks that failed otherwise than by the file being gone

    def __len__(self) -> int:
        """How many files wait to be offered."""
        return len(self._files) - len(self._open)

    def __contains__(self, path: bytes) -> bool:
        """Whether `path` waits to be offered."""
        return path in self._files and path not in self._open

    @property
    def full(self) -> bool:
        """Whether there is no room for another file; those merely held open make room."""
        return len(self) >= self._most

    def hint(self, path: bytes, root: bytes, now_s: float, *, closed: bool, live: bool) -> bool:
        """Something happened to `path`. False when there is no room to follow it: only a walk will find it then."""
        before = self._files.get(path)
        if before is None and len(self._files) >= self._most and not self._forget_an_open_one():
            return False
        look = self._look(root, path)
        if look is None:
            self._forget(path)
            return True
        live = live or (before is not None and before.live)
        waiting = _Waiting(root, live, closed, look, changed_s=now_s, due_s=0.0)
        self._open.discard(path)
        self._files[path] = waiting
        self._schedule(path, waiting, now_s + self._quiet_s(waiting))
        return True

    def drop(self, path: bytes) -> None:
        """`path` was removed or moved away."""
        self._forget(path)

    def drop_all(self, root: bytes | None = None) -> None:
        """Forget every file, or those of one root."""
        for path in [path for path, waiting in self._files.items() if root is None or waiting.root == root]:
            self._forget(path)

    def next_due_s(self) -> float | None:
        """When there is something to look at next, or None."""
        while self._heap:
            due_s, path = self._heap[0]
            waiting = self._files.get(path)
            if waiting is not None and waiting.due_s == due_s:
                return due_s
            heapq.heappop(self._heap)
        return None

    def settled(self, now_s: float, limit: int) -> list[Arrival]:
        """Look at the files that are due; those that were quiet are given out, at most `limit` of them."""
        arrivals: list[Arrival] = []
        while len(arrivals) < limit:
            due_s = self.next_due_s()
            if due_s is None or due_s > now_s:
                break
            path = heapq.heappop(self._heap)[1]
            waiting = self._files[path]
            look = self._look(waiting.root, path)
            if look is None:
                self._forget(path)
            elif look != waiting.look:
                self._changed(path, waiting, look, now_s)
            elif waiting.offered:
                self._look_again_later(path, waiting, now_s)
            elif look[2] == 0 and now_s < waiting.changed_s + self._settle_s:
                self._schedule(path, waiting, waiting.changed_s + self._settle_s)
            else:
                arrivals.append(Arrival(FileKey(path, FileIdentity(*look[:4])), waiting.root, waiting.live))
                self._offered(path, waiting, now_s)
        return arrivals

    def paths(self) -> Iterable[bytes]:
        return self._files.keys()

    def _changed(self, path: bytes, waiting: _Waiting, look: _Look, now_s: float) -> None:
        """It changed without an event that would say that the writer is done; a chmod or link moves only the ctime."""
        same_bytes = look[:4] == waiting.look[:4]
        waiting.closed = waiting.closed and same_bytes
        waiting.look, waiting.changed_s, waiting.offered = look, now_s, waiting.offered and same_bytes
        if waiting.offered:
            self._look_again_later(path, waiting, now_s)
            return
        self._open.discard(path)
        self._schedule(path, waiting, now_s + self._quiet_s(waiting))

    def _offered(self, path: bytes, waiting: _Waiting, now_s: float) -> None:
        if waiting.closed:
            self._forget(path)
            return
        waiting.offered = True
        self._open.add(path)
        self._look_again_later(path, waiting, now_s)

    def _look_again_later(self, path: bytes, waiting: _Waiting, now_s: float) -> None:
        quiet_s = now_s - waiting.changed_s
        if quiet_s >= _LAST_LOOK_S:
            self._forget(path)
        else:
            self._schedule(path, waiting, now_s + max(quiet_s, self._settle_s))

    def _quiet_s(self, waiting: _Waiting) -> float:
        return self._close_settle_s if waiting.closed else self._settle_s

    def _schedule(self, path: bytes, waiting: _Waiting, due_s: float) -> None:
        waiting.due_s = due_s
        heapq.heappush(self._heap, (due_s, path))
        if len(self._heap) > 4 * len(self._files) + 64:  # every event leaves a stale entry behind
            self._heap = [(waiting.due_s, path) for path, waiting in self._files.items()]
            heapq.heapify(self._heap)

    def _look(self, root: bytes, path: bytes) -> _Look | None:
        """What rests at `path`, or None where no regular file does that can be looked at."""
        try:
            status = self._lstat(root, path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.troubles.append((path, error))
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _forget(self, path: bytes) -> None:
        self._files.pop(path, None)
        self._open.discard(path)

    def _forget_an_open_one(self) -> bool:
        if not self._open:
            return False
        self._forget(next(iter(self._open)))
        return True
