"""From an event of the kernel to what it calls for."""

from __future__ import annotations

from deepdupe_daemon.intake import observer as ears
from deepdupe_daemon.intake.departures import Departures
from deepdupe_daemon.intake.inbox import RawEvent
from deepdupe_daemon.intake.job import WalkReason
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.walks import Walks
from deepdupe_daemon.intake.watches import WatchMap

__all__ = ["Router"]


class Router:
    """Turns events into hints: files that settle, directories to walk, names that went. Used by the lane's thread.

    Events are handled in the order of the kernel, so that a descriptor always means the directory that it meant then.
    """

    def __init__(self, parts: Parts, watches: WatchMap, departures: Departures, walks: Walks) -> None:
        self.top_changed = False  # something happened to a root itself, or a file system was unmounted
        self.handled = 0
        self._parts = parts
        self._watches = watches
        self._departures = departures
        self._walks = walks

    def handle(self, event: RawEvent, now_s: float) -> None:
        """One event. Raises OSError only where looking at a new directory fails unexpectedly."""
        self.handled += 1
        watched = self._watches.of(event.wd)
        if watched is None:
            return
        mask, root = event.mask, watched.root
        if mask & (ears.IGNORED | ears.UNMOUNTED | ears.TOP_MOVED) and not event.name:
            if mask & ears.IGNORED:
                self._watches.ignored(event.wd)
            self.top_changed = self.top_changed or watched.path == root.path or bool(mask & ears.UNMOUNTED)
            return
        path = watched.path + b"/" + event.name
        if mask & ears.IS_DIRECTORY:
            self._directory(root, path, mask, now_s)
        elif mask & (ears.CAME | ears.CLOSED):
            self._file_came(root, path, now_s, closed=bool(mask & ears.CLOSED))
        elif mask & ears.WENT:
            self._parts.settling.drop(path)
            self._went(root, path, now_s, tree=False)

    def _file_came(self, root: Root, path: bytes, now_s: float, *, closed: bool) -> None:
        settling = self._parts.settling
        # a file that settles already has passed the filter
        if (path in settling or root.takes(path)) and not settling.hint(
            path, root.path, now_s, closed=closed, live=True
        ):
            self._walks.root(root, WalkReason.NEW)

    def _directory(self, root: Root, path: bytes, mask: int, now_s: float) -> None:
        if mask & ears.WENT:
            self._watches.forget(path)
            self._went(root, path, now_s, tree=True)
        if not mask & ears.CAME or not root.enters(root.relative(path)):
            return
        try:
            status = self._parts.lookup.lstat(root.path, path)
        except (FileNotFoundError, NotADirectoryError):
            return
        here = self._watches.at(path)
        if here is None or here.key != (status.st_dev, status.st_ino):  # else a walk was there since it appeared
            self._walks.directory(root, path)

    def _went(self, root: Root, path: bytes, now_s: float, *, tree: bool) -> None:
        if not self._departures.add(root, path, now_s, tree=tree):
            self._walks.root(root, WalkReason.NEW)
