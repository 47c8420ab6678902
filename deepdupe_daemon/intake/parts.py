"""What the pieces of one lane share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import IntakeConfig
from deepdupe_daemon.intake.deliveries import Deliveries
from deepdupe_daemon.intake.lookup import Lookup
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.notice import Notice
from deepdupe_daemon.intake.removals import Removals
from deepdupe_daemon.intake.root import Root
from deepdupe_daemon.intake.settle import Settling
from deepdupe_daemon.intake.watches import WatchMap
from deepdupe_daemon.ledger import Ledger

__all__ = ["Parts"]


@dataclass(slots=True)
class Parts:
    """The lane's belongings, made afresh whenever it starts over. Used by the lane's thread alone.

    `watches` is None for a mere scan, and where the kernel gives us no inotify instance.
    """

    roots: tuple[Root, ...]
    settings: IntakeConfig
    clock: Clock
    ledger: Ledger
    lookup: Lookup
    settling: Settling
    deliveries: Deliveries
    watches: WatchMap | None
    mounts: MountTable
    tell: Callable[[Notice], None]

    @property
    def departure_s(self) -> float:
        """How long a name that went is given to turn up elsewhere: longer than a file that moved in takes to settle."""
        return max(self.settings.settle_s, 3 * self.settings.close_settle_s)

    def removals(self, root: Root) -> Removals:
        """A judge of what is missing from `root` now."""
        return Removals(root.path, away=root.away, takes=root.takes, lstat=partial(self.lookup.lstat, root.path))
