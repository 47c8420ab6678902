"""One walk from its beginning to its end: arm, compare, offer, wait for moves to turn up, remove."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from enum import Enum

from deepdupe_daemon.intake.arming import Arming
from deepdupe_daemon.intake.limits import limit_text
from deepdupe_daemon.intake.notice import Notice, NoticeKind
from deepdupe_daemon.intake.outage import EMPTY, come_back, go_offline
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.reconcile import Reconciliation
from deepdupe_daemon.intake.root import Root, glance
from deepdupe_daemon.intake.walk import TreeWalk
from deepdupe_daemon.model import display_path

__all__ = ["WalkJob", "WalkReason"]

#: longer paths cannot be looked at by name, so they cannot settle; a decoder gives them their row
_PATH_MAX = 4096
#: A clock on a server may differ from ours by so much that a file's ctime says nothing of the last minute.
_REMOTE_SKEW_S = 60.0


class WalkReason(Enum):
    """Why a walk is made: (word for people, whether its end is told)."""

    START = ("start", False)
    INTERVAL = ("interval", False)
    ASKED = ("request", True)
    LOSS = ("lost events", True)
    BACK = ("return", True)
    MOUNTS = ("change of mounts", True)
    HEARD = ("watched again", True)
    MORE = ("more to do", False)
    NEW = ("new directory", False)

    def __init__(self, word: str, told: bool) -> None:
        self.word = word
        self.told = told


class WalkJob:
    """A walk of a root, or of a directory below it. Driven in slices by the lane's thread."""

    def __init__(self, parts: Parts, root: Root, reason: WalkReason, *, start: bytes | None = None) -> None:
        self.root = root
        self.reason = reason
        self.start = root.path if start is None else start
        self.again = False  # not everything could be dealt with in one walk
        self._parts = parts
        self._arming = Arming(parts, root)
        self._began_ns = 0
        self._began_s = 0.0

    @property
    def whole(self) -> bool:
        return self.start == self.root.path

    def steps(self) -> Iterator[float | None]:
        """Do it, slice by slice. Yields None when it can go on at once, else the monotonic time to go on at.

        Raises OSError when this process is out of descriptors or memory, StateError from the ledger.
        """
        self._began_ns = self._parts.clock.now_ns()
        self._began_s = self._parts.clock.monotonic_s()
        if self.whole and not self._is_there():
            return
        if self.reason is WalkReason.BACK:
            yield from Arming(self._parts, self.root).steps()
        filter_changed = self.whole and self._remembered("filter") != self.root.fingerprint
        comparison = Reconciliation(
            self.root,
            self._parts.ledger,
            self._take,
            self._parts.removals(self.root),
            start=self.start,
            on_directory=self._arming.watch,
            filter_changed=filter_changed,
        )
        for _ in comparison.steps():
            while self._parts.settling.full:
                yield self._parts.clock.monotonic_s() + 0.1
            yield None
        self._parts.deliveries.flush()
        if self.whole and self._is_outage(comparison):
            return
        before = self._parts.deliveries.gone_files
        yield from self._remove(comparison)
        if self.whole:
            self._finish(comparison, gone=self._parts.deliveries.gone_files - before)

    def _is_there(self) -> bool:
        """Whether the root can be walked at all; if not it is offline from now on."""
        root, look = self.root, glance(self.root.path)
        if look.error is not None:
            go_offline(self._parts, root, look.error.strerror or "it cannot be opened")
            return False
        root.key = look.key
        self._parts.lookup.learn(root.path, look.real)
        if look.empty and root.offline is not None and next(self._parts.ledger.known_paths(root.path), None):
            go_offline(self._parts, root, EMPTY)
            return False
        come_back(self._parts, root)
        return True

    def _take(self, path: bytes, status: os.stat_result) -> None:
        """A file that is new or changed: offer it if it has long been quiet, else let it settle."""
        root, parts = self.root, self._parts
        if path in parts.settling:
            return
        quiet_s = parts.settings.settle_s
        if status.st_dev in root.remote_devices:
            quiet_s = max(quiet_s, _REMOTE_SKEW_S)
        live = self.reason is WalkReason.NEW or status.st_ctime_ns >= root.live_since_ns > 0
        if status.st_ctime_ns < parts.clock.now_ns() - round(quiet_s * 1e9) or len(path) >= _PATH_MAX:
            parts.deliveries.add_found(path, root.path, status, live=live)
        elif not parts.settling.hint(path, root.path, parts.clock.monotonic_s(), closed=False, live=live):
            self.again = True

    def _is_outage(self, comparison: Reconciliation) -> bool:
        """Whether the root went away meanwhile, or shows nothing where files are known."""
        if not comparison.walk.started:
            error = comparison.walk.unread[0].error if comparison.walk.unread else None
            go_offline(self._parts, self.root, (error and error.strerror) or "it cannot be opened")
            return True
        if comparison.nothing_there and comparison.known:
            go_offline(self._parts, self.root, EMPTY, known=comparison.known)
            return True
        return False

    def _remove(self, comparison: Reconciliation) -> Iterator[float | None]:
        parts, removals = self._parts, comparison.removals
        if comparison.missing:
            if len(parts.settling):  # a file that moved takes its row along, if its new path is offered first
                yield parts.clock.monotonic_s() + parts.departure_s
            if self.whole and glance(self.root.path).key != self.root.key:
                return  # the root was swapped under the walk: its check will see, and walk again
            yield from removals.judge(comparison.missing)
            yield from parts.deliveries.remove(removals.gone, whole_trees=removals.certain)
        self.again = self.again or comparison.walk.cut_short or (comparison.more_missing and bool(removals.gone))
        if self.whole:
            self._tell_withheld(removals.withheld)

    def _tell_withheld(self, withheld: int) -> None:
        root = self.root
        if withheld and not root.withheld:
            text = f"{root.shown}: {withheld:,} known files are missing together with their file system, and are kept"
            self._parts.tell(Notice(NoticeKind.ROOT_OFFLINE, text, root.path, counts={"known": withheld}))
        elif root.withheld and not withheld:
            text = f"{root.shown}: the file system that was away is back"
            self._parts.tell(Notice(NoticeKind.ROOT_BACK, text, root.path))
        root.withheld = withheld

    def _finish(self, comparison: Reconciliation, *, gone: int) -> None:
        root, parts, walk = self.root, self._parts, comparison.walk
        self._remember_mounts()
        if not walk.unread_count:
            self._remember("filter", root.fingerprint)
        self._tell_unread(walk)
        self._tell_refusals(walk)
        root.first_walk_done = True
        root.walks += 1
        root.live_since_ns = root.live_since_ns or self._began_ns
        took_s = parts.clock.monotonic_s() - self._began_s
        found_some = bool(comparison.taken or gone)
        wait_s = root.pace.after_walk(took_s=took_s, found_some=found_some, polling=root.polling)
        root.next_walk_s = parts.clock.monotonic_s() + wait_s
        if self.reason.told:
            text = (
                f"{root.shown} was walked ({self.reason.word}): {walk.files:,} files, {comparison.taken:,} new or"
                f" changed, {gone:,} gone, {took_s:.1f} s"
            )
            counts = {"files": walk.files, "found": comparison.taken, "gone": gone}
            parts.tell(Notice(NoticeKind.RESCAN_DONE, text, root.path, counts=counts))

    def _tell_unread(self, walk: TreeWalk) -> None:
        paths = frozenset(unread.path for unread in walk.unread)
        if paths and paths != self.root.unread:
            first = walk.unread[0]
            others = f" and {walk.unread_count - 1:,} others" if walk.unread_count > 1 else ""
            text = f"cannot be read: {display_path(first.path)}{others}: {first.error.strerror}; what is known is kept"
            counts = {"unread": walk.unread_count}
            self._parts.tell(Notice(NoticeKind.UNREADABLE, text, self.root.path, first.path, counts))
        self.root.unread = paths

    def _tell_refusals(self, walk: TreeWalk) -> None:
        root, arming = self.root, self._arming
        short = arming.refused is not None or (root.watch and self._parts.watches is None)
        if arming.refused is not None and not root.short_of_watches:
            watched = walk.directories - arming.refusals
            text = limit_text(
                root.shown,
                arming.refused,
                watched=watched,
                directories=walk.directories,
                every_s=root.pace.polling_s,
            )
            counts = {"watched": watched, "directories": walk.directories}
            self._parts.tell(Notice(NoticeKind.WATCH_LIMIT, text, root.path, counts=counts))
        root.short_of_watches = short

    def _remember_mounts(self) -> None:
        """Keep which mounts the known files depend on; those that are away stay in mind while files are withheld."""
        root, present = self.root, self._parts.mounts.concerning(self.root.path)
        points = present | root.away if root.withheld else present
        if not root.withheld:
            root.away = frozenset()
        self._remember("mounts", json.dumps(sorted(point.hex() for point in points)))

    def _remembered(self, what: str) -> str | None:
        return self._parts.ledger.meta(f"intake.{what}.{self.root.path.hex()}")

    def _remember(self, what: str, value: str) -> None:
        if self._remembered(what) != value:
            self._parts.ledger.set_meta(f"intake.{what}.{self.root.path.hex()}", value)
