"""What intake says of itself when asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["IntakeStatus"]


@dataclass(frozen=True, slots=True)
class IntakeStatus:
    """A moment of one lane, or of all of them. Frozen: each lane publishes a new one after every turn."""

    alive: bool = True  # every lane's thread runs (or has not been started)
    armed: bool = False  # every directory that can be watched is watched; true for a mere scan
    walking: bool = False  # a walk is under way or waits its turn
    first_walk_done: bool = False  # every root that is there was walked once, and what that found has settled
    settling: int = 0  # files that wait to be quiet
    walks: int = 0  # whole walks of a root that ended
    events: int = 0  # events of the kernel that were handled
    events_lost: int = 0  # times that events were lost, each made good by a walk
    found_files: int = 0  # new, changed, moved and returned files that went to the ledger
    gone_files: int = 0  # files that went
    watched_directories: int = 0
    offline: tuple[bytes, ...] = ()  # roots that are away
    withheld: int = 0  # known files that are missing together with their file system, and are kept
    error: str | None = None  # what went wrong last in intake itself, until a walk has ended well since
    unheard: int = 0  # songs of the canary in a row that no event answered
    turns: int = 0  # grows while the lanes live, at least every few seconds

    @classmethod
    def total(cls, parts: Iterable[IntakeStatus]) -> IntakeStatus:
        """All lanes as one."""
        lanes = list(parts)
        return cls(
            alive=all(lane.alive for lane in lanes),
            armed=all(lane.armed for lane in lanes),
            walking=any(lane.walking for lane in lanes),
            first_walk_done=all(lane.first_walk_done for lane in lanes),
            settling=sum(lane.settling for lane in lanes),
            walks=sum(lane.walks for lane in lanes),
            events=sum(lane.events for lane in lanes),
            events_lost=sum(lane.events_lost for lane in lanes),
            found_files=sum(lane.found_files for lane in lanes),
            gone_files=sum(lane.gone_files for lane in lanes),
            watched_directories=sum(lane.watched_directories for lane in lanes),
            offline=tuple(sorted(root for lane in lanes for root in lane.offline)),
            withheld=sum(lane.withheld for lane in lanes),
            error=next((lane.error for lane in lanes if lane.error), None),
            unheard=max((lane.unheard for lane in lanes), default=0),
            turns=min((lane.turns for lane in lanes), default=0),
        )
