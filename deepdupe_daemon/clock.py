"""The only caller of time and sleep.

Everything that waits or stamps takes a `Clock`, so that a test can hold the hands.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Wall time for records, monotonic time for waiting."""

    def now_ns(self) -> int:
        """Wall-clock time, nanoseconds since the epoch. May jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary moment. Never jumps."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Sleep until `event` is set or `timeout_s` seconds have passed; says whether it is set."""
        ...


class SystemClock:
    """The machine's own clocks. Stateless, so any thread may use it."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


class ManualClock:
    """A clock that moves only when told: the test double that ships.

    `advance` may be called from any thread; waiting advances the clock itself, so code under test never sleeps.
    """

    def __init__(self, *, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self._lock = threading.Lock()
        self._now_ns = now_ns
        self._monotonic_s = 0.0

    def now_ns(self) -> int:
        with self._lock:
            return self._now_ns

    def monotonic_s(self) -> float:
        with self._lock:
            return self._monotonic_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        if event.is_set():
            return True
        self.advance(timeout_s)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Move both hands forward by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        with self._lock:
            self._monotonic_s += seconds
            self._now_ns += round(seconds * 1e9)
