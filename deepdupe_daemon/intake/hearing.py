"""One observer with all that belongs to it, and whether it still hears."""

from __future__ import annotations

import threading

from deepdupe_daemon.intake.inbox import Inbox
from deepdupe_daemon.intake.observer import Canary, Observer
from deepdupe_daemon.intake.watches import WatchMap

__all__ = ["Hearing"]

#: the canary sings when nothing was heard for so long, and must be heard within the second time
_SILENCE_S = 60.0
_ANSWER_S = 10.0


class Hearing:
    """Replaced as a whole when events were lost, since nothing it believes can be trusted then. Owned by a lane's
    thread.

    Raises OSError(EMFILE) where the kernel gives no further inotify instance.
    """

    def __init__(self, wake: threading.Event, canary_dir: bytes | None, now_s: float) -> None:
        self.inbox = Inbox(wake)
        self._observer = Observer(self.inbox)
        self.watches = WatchMap(self._observer)
        self.trouble: OSError | None = None  # why there is no proof of life, where one was asked for
        self._canary: Canary | None = None
        self._heard_s = now_s
        self._sang_s: float | None = None
        self.answered = 0  # songs of the canary that were heard
        self.deaf = False  # the last song was not answered
        if canary_dir is not None:
            try:
                self._canary = self._observer.canary(canary_dir)
            except OSError as error:
                self.trouble = error

    def heard(self, now_s: float) -> None:
        """An event came."""
        self._heard_s = now_s

    def lost(self, now_s: float) -> str | None:
        """Why events were or may have been lost since the last call, or None."""
        if not self._observer.alive:
            return "the thread that reads the kernel's events has died"
        if self.inbox.take_loss():
            return "more files changed at once than the queue of events holds (fs.inotify.max_queued_events)"
        return self._deaf(now_s)

    def _deaf(self, now_s: float) -> str | None:
        if self._canary is None or (self._sang_s is None and now_s < self._heard_s + _SILENCE_S):
            return None
        if self._sang_s is None:
            try:
                self._canary.sing()
            except OSError as error:  # a full disk, or the folder was removed: that is not deafness
                self.trouble = error
                self._heard_s = now_s
            else:
                self._sang_s = now_s
        elif self._canary.answered:
            self._heard_s, self._sang_s = now_s, None
            self.answered += 1
        elif now_s >= self._sang_s + _ANSWER_S:
            self.deaf = True
            return "no events arrive although files change"
        return None

    def close(self) -> None:
        self._observer.close()
