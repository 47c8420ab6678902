"""The circuit breaker, as it rests in the ledger."""

from __future__ import annotations

from deepdupe_daemon.act import BreakerState, trip
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import BreakerConfig
from deepdupe_daemon.ledger import Ledger

__all__ = ["Breaker", "breaker_state"]

_KEY = "quarantine.breaker"

#: a count over a million rows takes a second; the share of a folder moves slowly
_COUNT_AGE_NS = 60 * 10**9


def breaker_state(ledger: Ledger) -> BreakerState:
    """What the ledger remembers; closed where nothing ever was."""
    return BreakerState.from_json(ledger.meta(_KEY))


class Breaker:
    """Sticky: what opened it stays in the ledger over restarts, until `resume`. Owned by the thread of `ledger`."""

    def __init__(self, ledger: Ledger, limits: BreakerConfig, clock: Clock) -> None:
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._counted: dict[bytes, tuple[int, int]] = {}  # root -> (when, files)

    @property
    def state(self) -> BreakerState:
        return breaker_state(self._ledger)

    def would_trip(self, root: bytes) -> str | None:
        """The limit that one more automatic action in `root` would go beyond."""
        now_ns = self._clock.now_ns()
        since_ns = max(now_ns - round(self._limits.interval_s * 1e9), self.state.resumed_at_ns)
        recent = self._ledger.quarantined_since(since_ns)
        in_root = self._ledger.quarantined_since(since_ns, root)
        enough = in_root >= self._limits.always_allowed
        return trip(
            self._limits,
            recent=recent,
            recent_in_root=in_root,
            files_in_root=in_root + self._files(root, now_ns) if enough else 0,
        )

    def open(self, reason: str, about: str) -> BreakerState:
        """Stop until `resume`. `about`: what was about to happen."""
        state = BreakerState(True, self._clock.now_ns(), reason, about, self.state.resumed_at_ns)
        self._ledger.set_meta(_KEY, state.to_json())
        return state

    def resume(self) -> BreakerState:
        """Go on, and count anew; gives the state before."""
        before = self.state
        self._ledger.set_meta(_KEY, BreakerState(resumed_at_ns=self._clock.now_ns()).to_json())
        return before

    def _files(self, root: bytes, now_ns: int) -> int:
        counted = self._counted.get(root)
        if counted is None or not 0 <= now_ns - counted[0] < _COUNT_AGE_NS:
            counted = self._counted[root] = (now_ns, self._ledger.files_below(root))
        return counted[1]
