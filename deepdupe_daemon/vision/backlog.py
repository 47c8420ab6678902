"""What the pool has still to do, most urgent first. Any thread may put; the pool's threads take."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from deepdupe_daemon.vision.worker_process import WorkerProcess

__all__ = ["Backlog", "Task", "Urgency"]


class Urgency(IntEnum):
    """Lower is first. A proof completes a verdict that somebody waits for; live arrivals pass the backfill."""

    PROOF = 0
    LIVE = 1
    BACKFILL = 2


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """`run` asks a worker and gives the future's result, or raises."""

    urgency: Urgency
    number: int
    run: Callable[[WorkerProcess], Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class Backlog:
    """A priority queue that keeps workers warm: a thread without a worker is given a task only if no thread with one
    is free.

    Starting a worker takes 0.4 s and 50 MB, so an idle daemon keeps one and starts others when there is work for them.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._heap: list[Task] = []
        self._numbers = itertools.count()
        self._waiting = 0
        self._warm_waiting = 0
        self._closed = False

    def put(self, urgency: Urgency, run: Callable[[WorkerProcess], Any]) -> Future[Any]:
        """Raises RuntimeError where the pool has been stopped."""
        future: Future[Any] = Future()
        with self._condition:
            if self._closed:
                raise RuntimeError("the decoder pool has been stopped")
            heapq.heappush(self._heap, Task(urgency, next(self._numbers), run, future))
            self._condition.notify_all()
        return future

    def take(self, *, warm: bool, timeout_s: float | None) -> Task | None:
        """The next task for a thread whose worker runs (`warm`) or does not; None after `timeout_s`, or once closed."""
        with self._condition:
            self._waiting += 1
            self._warm_waiting += warm
            try:
                self._condition.wait_for(
                    lambda: self._closed or len(self._heap) > (0 if warm else self._warm_waiting), timeout_s
                )
                if self._closed or len(self._heap) <= (0 if warm else self._warm_waiting):
                    return None
                return heapq.heappop(self._heap)
            finally:
                self._waiting -= 1
                self._warm_waiting -= warm

    def close(self) -> list[Task]:
        """Wake every thread for good; gives back what was not begun."""
        with self._condition:
            self._closed = True
            left, self._heap = self._heap, []
            self._condition.notify_all()
        return left

    @property
    def waiting(self) -> int:
        """Threads that wait for a task."""
        with self._condition:
            return self._waiting

    @property
    def closed(self) -> bool:
        with self._condition:
            return self._closed

    def __len__(self) -> int:
        with self._condition:
            return len(self._heap)
