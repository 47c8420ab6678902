"""A token bucket: so much in a second, so much at once after a pause, and debts are waited for."""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """What may be spent. Owned by one thread; moments are `Clock.monotonic_s`."""

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        """It begins with all of `burst`, and gains `rate_per_s` up to it."""
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._left = burst
        self._at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Seconds until one may be spent; 0 for now."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate_per_s)
        self._at_s = now_s
        return max(0.0, 1.0 - self._left) / self._rate_per_s

    def spend(self, much: float) -> None:
        """What is known only afterwards may become a debt."""
        self._left -= much
