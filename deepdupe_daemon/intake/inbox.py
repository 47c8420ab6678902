"""Where the kernel's events wait for the lane: bounded, never blocking, never raising."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

__all__ = ["Inbox", "RawEvent"]

#: 100,000 events take about 25 MB; more than that and a walk is the cheaper way to learn what happened
_MOST = 100_000


class RawEvent(NamedTuple):
    """An inotify event as the kernel gave it: watch descriptor, mask, rename cookie, name within the directory."""

    wd: int
    mask: int
    cookie: int
    name: bytes


class Inbox:
    """Filled by watchdog's thread, emptied by the lane that owns `wake`."""

    def __init__(self, wake: threading.Event, *, most: int = _MOST) -> None:
        self._wake = wake
        self._most = most
        self._events: deque[RawEvent] = deque()  # append and popleft are atomic
        self._lost = False

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: RawEvent) -> None:
        """Take an event in; where there is no room it is lost, and `take_loss` says so."""
        if len(self._events) >= self._most:
            self._lost = True
        else:
            self._events.append(event)
        self._wake.set()

    def lose(self) -> None:
        """The kernel dropped events: its queue was full."""
        self._lost = True
        self._wake.set()

    def take(self, limit: int) -> list[RawEvent]:
        """The oldest events, at most `limit`."""
        events: list[RawEvent] = []
        while self._events and len(events) < limit:
            events.append(self._events.popleft())
        return events

    def take_loss(self) -> bool:
        """Whether events were lost since the last call."""
        lost, self._lost = self._lost, False
        return lost
