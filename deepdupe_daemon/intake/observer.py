"""The kernel's ears, through watchdog: the only module that imports it.

We use watchdog's inotify reader (`InotifyFD`, one thread and one inotify instance, with a callback per watch) and not
its recursive observer, for reasons that were measured with 7.1.0: the recursive one watches excluded directories too,
passes over in silence those that it cannot watch, keeps the old path of a directory that moved, holds every event
behind a file that was moved out for 0.5 s, and loses the overflow notice on its way to the handler. `on_queue_overflow`
is part of the callback protocol since 7.1.0; 6.0.0 and 7.0.0 throw the notice away, and in 7.0.0 a `cp -r` kills the
only reader.
"""

from __future__ import annotations

import logging
import os

from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD

from deepdupe_daemon.intake.inbox import Inbox, RawEvent

__all__ = [
    "CAME",
    "CLOSED",
    "IGNORED",
    "IS_DIRECTORY",
    "TOP_MOVED",
    "UNMOUNTED",
    "WENT",
    "Canary",
    "Observer",
]

_C = InotifyConstants
#: a name appeared; a file was closed after writing or moved into place; a name went
CAME: int = _C.IN_CREATE | _C.IN_MOVED_TO
CLOSED: int = _C.IN_CLOSE_WRITE | _C.IN_MOVED_TO
WENT: int = _C.IN_DELETE | _C.IN_MOVED_FROM
TOP_MOVED: int = _C.IN_DELETE_SELF | _C.IN_MOVE_SELF
UNMOUNTED: int = _C.IN_UNMOUNT
IGNORED: int = _C.IN_IGNORED
IS_DIRECTORY: int = _C.IN_ISDIR

#: Not among them: IN_MODIFY, which comes once a write(2) where settling looks for itself, and IN_OPEN, IN_ACCESS and
#: IN_CLOSE_NOWRITE, which our own reading would cause.
_INSIDE = CAME | CLOSED | WENT | _C.IN_ONLYDIR | _C.IN_EXCL_UNLINK
_OURS = 1
_CANARY = 2
_STOP_S = 5.0


class Observer:
    """Watches on directories, whose events go into an inbox. Made, used and closed by one lane's thread.

    Raises OSError(EMFILE) when the user's inotify instances are used up (`fs.inotify.max_user_instances`).
    """

    def __init__(self, inbox: Inbox) -> None:
        # else the last-resort handler of logging prints what our own notice says better
        logging.getLogger("watchdog").addHandler(logging.NullHandler())
        self._tap = _Tap(inbox)
        self._reader = InotifyFD()
        self._reader.name = "intake-inotify"
        self._reader.start()

    @property
    def alive(self) -> bool:
        return bool(self._reader.is_alive())

    def watch(self, fd: int, *, top: bool = False) -> int:
        """Watch the directory open at `fd`; gives the watch descriptor. `top`: hear when it is itself moved or removed.

        Raises OSError: ENOSPC at the limit of watches, EACCES where it may not be read.
        """
        mask = _INSIDE | TOP_MOVED if top else _INSIDE
        # Through the descriptor, so that what is watched is what is listed, whatever its path leads to by now.
        wd = int(self._reader.add_callback(b"/proc/self/fd/%d" % fd, mask, self._tap, _OURS))
        if wd < 0:  # watchdog passes over EACCES
            raise PermissionError(f"descriptor {fd} may not be watched")
        return wd

    def unwatch(self, wds: list[int]) -> None:
        """Stop watching; no event of these is heard any more, not even IN_IGNORED."""
        self._reader.remove_callbacks([(wd, _OURS) for wd in wds])

    def canary(self, folder: bytes) -> Canary:
        """A proof of life in `folder`, a private directory. Raises OSError."""
        return Canary(self._reader, folder)

    def close(self) -> None:
        self._reader.stop()
        self._reader.join(_STOP_S)


class _Tap:
    """watchdog's `WatchCallback`. Runs in watchdog's thread: nothing here may block or raise."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def on_event(self, event: InotifyEvent) -> None:
        self._inbox.put(RawEvent(event.wd, event.mask, event.cookie, event.name))

    def on_watch_deleted(self, wd: int) -> None:
        self._inbox.put(RawEvent(wd, IGNORED, 0, b""))

    def on_queue_overflow(self) -> None:
        self._inbox.lose()


class Canary:
    """Proves that events arrive: a file is closed in a private directory, and its event must be heard.

    A thread that is alive proves nothing: watchdog 6 and 7.0 have been seen deaf with every thread alive.
    """

    def __init__(self, reader: InotifyFD, folder: bytes) -> None:
        self._path = folder + b"/canary"
        self.heard = 0  # counts, in watchdog's thread
        self.sung = 0
        reader.add_callback(folder, _C.IN_CLOSE_WRITE | _C.IN_ONLYDIR, self, _CANARY)

    def sing(self) -> None:
        """Close the canary file. Raises OSError."""
        self.sung = self.heard + 1
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))

    @property
    def answered(self) -> bool:
        """Whether the last song was heard."""
        return self.heard >= self.sung

    def on_event(self, event: InotifyEvent) -> None:  # noqa: ARG002 - any event will do
        self.heard += 1

    def on_watch_deleted(self, wd: int) -> None:
        """The folder is gone; the next song says so."""

    def on_queue_overflow(self) -> None:
        """The tap of the lane hears it too."""
