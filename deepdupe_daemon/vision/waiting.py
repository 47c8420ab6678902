"""The bounded window of decoded images before the forward thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.model import InputSpec, U8Array

__all__ = ["Job", "Waiting"]


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One decoded image: an input for every configured model. `live` goes before backfill."""

    file_id: int
    inputs: Mapping[InputSpec, U8Array]
    live: bool


class Waiting:
    """Two lanes, live and backfill, each at most `limit` jobs deep, so that a full backfill never holds up an arrival.

    Any thread puts; the forward thread alone takes. All state is under one lock.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        if limit < 1:
            raise ValueError("limit must be at least 1")
        self._limit = limit
        self._clock = clock
        self._lanes: dict[bool, deque[Job]] = {True: deque(), False: deque()}
        self._closed = False
        self._changed = threading.Condition()

    def put(self, job: Job) -> bool:
        """Wait for room in the job's lane and append it; False, without it, once closed."""
        lane = self._lanes[job.live]
        with self._changed:
            while len(lane) >= self._limit and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            lane.append(job)
            self._changed.notify_all()
            return True

    def take(self, live_limit: int, backfill_limit: int, *, wait: bool, linger_s: float = 0.0) -> list[Job]:
        """Up to the limit of one lane, live while there are any, oldest first.

        Lanes are not mixed: a lone arrival beside a long backfill gets the short forward of a small batch. With `wait`,
        blocks until there is a job, and from then on for `linger_s` at the most until one lane has as many as its
        limit; an empty list then means closed and drained.
        """
        with self._changed:
            while wait and not self._closed and not any(self._lanes.values()):
                self._changed.wait()
            if wait and linger_s > 0:
                self._linger(live_limit, backfill_limit, linger_s)
            lane = self._lanes[True] or self._lanes[False]
            limit = live_limit if self._lanes[True] else backfill_limit
            taken = [lane.popleft() for _ in range(min(limit, len(lane)))]
            if taken:
                self._changed.notify_all()
            return taken

    def _linger(self, live_limit: int, backfill_limit: int, linger_s: float) -> None:
        """Called under the lock, which waiting gives up."""
        until_s = self._clock.monotonic_s() + linger_s
        while not self._closed and len(self._lanes[True]) < live_limit and len(self._lanes[False]) < backfill_limit:
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                return
            self._changed.wait(left_s)

    def close(self, *, discard: bool = False) -> None:
        """Refuse further jobs; with `discard`, forget those that wait (their files stay pending in the ledger)."""
        with self._changed:
            self._closed = True
            if discard:
                for lane in self._lanes.values():
                    lane.clear()
            self._changed.notify_all()

    def counts(self) -> tuple[int, int]:
        """(live, backfill)."""
        with self._changed:
            return len(self._lanes[True]), len(self._lanes[False])
