"""The circuit breaker: how much may be quarantined before a person has to say that it was right. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from deepdupe_daemon.config import BreakerConfig


__all__ = ["BreakerState", "trip"]


@dataclass(frozen=True, slots=True)
class BreakerState:
    """What the ledger remembers of the breaker. Open: nothing is quarantined until a person resumes."""

    is_open: bool = False
    opened_at_ns: int | None = None
    reason: str = ""  # which limit was reached
    about: str = ""  # what was about to happen, for people
    resumed_at_ns: int = 0  # what was done before does not count any more

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        return cls() if text is None else cls(**json.loads(text))


def trip(limits: BreakerConfig, *, recent: int, recent_in_root: int, files_in_root: int) -> str | None:
    """The limit that the next action would go beyond, in words; None where it may happen.

    `recent` and `recent_in_root`: automatic actions within the interval, in all roots and in the action's own;
    `files_in_root`: files known there, those just quarantined included.
    """
    if recent >= limits.most:
        return f"{recent:,} files were quarantined within {_span(limits.interval_s)} (quarantine.breaker.most)"
    if recent_in_root >= limits.always_allowed and recent_in_root + 1 > limits.most_share * files_in_root:
        share = 100 * recent_in_root / max(1, files_in_root)
        return (
            f"{recent_in_root:,} of the folder's {files_in_root:,} files ({share:.0f} %) were quarantined within "
            f"{_span(limits.interval_s)} (quarantine.breaker.most_share)"
        )
    return None


def _span(seconds: float) -> str:
    """`the last hour`, `the last 90 s`"""
    return "the last hour" if seconds == 3600 else f"the last {seconds:g} s"
