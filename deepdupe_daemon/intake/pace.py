"""How long to wait until the next walk of a root."""

from __future__ import annotations

import random

__all__ = ["Pace"]

#: a walk may take up to a twentieth of the time
_SHARE = 20.0
_FASTER, _SLOWER = 0.5, 1.5


class Pace:
    """The time between walks. Owned by one thread.

    Where events tell of changes, walks come at the configured interval, give or take a quarter, so that many daemons on
    one server do not walk in step (the range that syncthing uses). Where they do not, or not all (network and FUSE
    file systems, the watch limit), the interval adapts: it halves when a walk found something and grows by half when it
    found nothing, between `floor_s` and the configured interval, and leaves at least 19/20 of the time without a walk.
    """

    def __init__(self, interval_s: float, floor_s: float, *, seed: int | None = None) -> None:
        self._interval_s = interval_s
        self._floor_s = min(floor_s, interval_s)
        self._polling_s = self._floor_s
        self._random = random.Random(seed)  # noqa: S311 - jitter, not a secret

    @property
    def polling_s(self) -> float:
        """The present interval where walks alone tell of changes."""
        return self._polling_s

    def after_walk(self, *, took_s: float, found_some: bool, polling: bool) -> float:
        """Seconds until the next walk."""
        if not polling:
            return self._interval_s * self._random.uniform(0.75, 1.25)
        factor = _FASTER if found_some else _SLOWER
        self._polling_s = min(max(self._polling_s * factor, self._floor_s, _SHARE * took_s), self._interval_s)
        return self._polling_s * self._random.uniform(0.9, 1.1)
