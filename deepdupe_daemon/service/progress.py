"""How far the work has come, in one frozen value that the terminal, STATUS= and `status` all read."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

__all__ = ["Phase", "Progress", "RateMeter"]

Phase = Literal[
    "starting", "loading", "copying", "comparing", "drawing", "walking", "indexing", "storing", "idle", "stopping"
]


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of the work. `total` grows while the walk goes on; `remaining_s` is None until a rate is known."""

    phase: Phase
    done: int
    total: int
    rate_per_s: float
    remaining_s: float | None
    failed: int
    duplicates: int
    text: str


class RateMeter:
    """Files per second over the last `window_s` seconds. Owned by the supervising thread."""

    def __init__(self, window_s: float = 20.0) -> None:
        self._window_s = window_s
        self._points: deque[tuple[float, int]] = deque()

    def rate_per_s(self, now_s: float, done: int) -> float:
        """Note that `done` files were done at `now_s` (monotonic) and say the rate since the window's beginning."""
        self._points.append((now_s, done))
        while len(self._points) > 2 and now_s - self._points[0][0] > self._window_s:
            self._points.popleft()
        then_s, before = self._points[0]
        return max(0.0, (done - before) / (now_s - then_s)) if now_s > then_s else 0.0
