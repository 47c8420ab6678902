"""A watched root: what is known of it from moment to moment."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum

from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake.mounts import MountTable
from deepdupe_daemon.intake.pace import Pace
from deepdupe_daemon.model import display_path

__all__ = ["Glance", "Root", "Strategy", "glance"]

#: where duplicates move to, and how the private folders begin that stand beside a file while it is carried over to
#: another file system; never looked into, whatever the configured globs say
QUARANTINE = b".deepdupe-quarantine"

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Strategy(StrEnum):
    """How a root is kept in view; the words are those of the configuration."""

    AUTO = "auto"  # events; and walks at adaptive intervals where a network or FUSE file system is part of the root
    INOTIFY = "inotify"  # events whatever the file system, and walks at the configured interval
    POLL = "poll"  # walks at adaptive intervals alone: no watch is used up


@dataclass(frozen=True, slots=True)
class Glance:
    """What is at a root's path just now."""

    key: tuple[int, int] | None = None  # (dev, ino) of the directory
    real: bytes = b""  # what the kernel calls it
    empty: bool = False
    error: OSError | None = None


def glance(path: bytes) -> Glance:
    """Open the root and see whether there is anything in it. Costs about 20 µs."""
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        return Glance(error=error)
    try:
        status = os.fstat(fd)
        real = os.readlink(b"/proc/self/fd/%d" % fd)
        with os.scandir(fd) as entries:
            empty = next(entries, None) is None
    except OSError as error:
        return Glance(error=error)
    finally:
        os.close(fd)
    return Glance((status.st_dev, status.st_ino), real, empty)


class Root:
    """One watched root. Owned by its lane's thread, which alone changes it.

    Attributes that the lane keeps here:
        key: (dev, ino) of the directory when it was last armed, None before
        offline: why the root is away, or None
        withheld: known files that are missing, but whose file system is away too
        remote_devices: those of network and FUSE file systems here
        away: mount points that files here were known on, and that are not mounted now
        live_since_ns: wall clock; what changed later arrived under our eyes, even where a walk finds it
        short_of_watches: whether some directory could not be watched
        unread: the paths that were last told to be unreadable
        next_walk_s: monotonic; None while a walk is under way or waits
    """

    def __init__(
        self,
        config: RootConfig,
        settings: IntakeConfig,
        mounts: MountTable,
        pace: Pace,
        *,
        watch: bool,
    ) -> None:
        self.path = config.path_bytes
        self._filter = config.path_filter(settings)
        self.fingerprint = _fingerprint(config, settings)
        self.pace = pace
        self.remote_devices = mounts.remote_devices(self.path)
        self.strategy = Strategy(config.strategy)
        self.watch = watch and self.strategy is not Strategy.POLL
        self.key: tuple[int, int] | None = None
        self.offline: str | None = None
        self.withheld = 0
        self.away: frozenset[bytes] = frozenset()
        self.live_since_ns = 0
        self.short_of_watches = False
        self.next_walk_s: float | None = None
        self.unread: frozenset[bytes] = frozenset()
        self.first_walk_done = False
        self.walks = 0

    @property
    def shown(self) -> str:
        return display_path(self.path)

    @property
    def polling(self) -> bool:
        """Whether events do not tell all that happens here, so that walks must."""
        if self.strategy is Strategy.AUTO:
            return bool(self.remote_devices) or self.short_of_watches
        return self.strategy is Strategy.POLL or self.short_of_watches

    def relative(self, path: bytes) -> bytes:
        """`path`, which is the root or lies below it, as the filter wants it."""
        return path[len(self.path) + 1 :]

    def takes(self, path: bytes) -> bool:
        """Whether this file is looked at: the filter admits it, and it does not lie in a quarantine."""
        relpath = self.relative(path)
        folders = relpath.split(b"/")[:-1]
        return not any(name.startswith(QUARANTINE) for name in folders) and self._filter.matches_file(relpath)

    def enters(self, relpath: bytes) -> bool:
        """Whether the directory at this path relative to the root is walked and watched; those above it are."""
        return not relpath.rpartition(b"/")[2].startswith(QUARANTINE) and self._filter.enters(relpath)


def _fingerprint(config: RootConfig, settings: IntakeConfig) -> str:
    """Equal only for equal filters: files that an older filter admitted are looked at again when it differs."""
    patterns = (config.include or settings.include, settings.exclude, config.exclude)
    return hashlib.sha256(repr(patterns).encode("utf-8", "surrogateescape")).hexdigest()[:16]
