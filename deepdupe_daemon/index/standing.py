"""What the writer tells others: how it stands, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

__all__ = ["Board", "SpaceStanding", "StoreNotice", "WriterState", "WriterStatus", "merged"]


class WriterState(StrEnum):
    OFF = "off"  # configured so
    CLOSED = "closed"  # nothing to write; the process is not running
    OPENING = "opening"  # checking the store, or waiting for an earlier process to end
    OPEN = "open"  # everything is written
    WRITING = "writing"
    WAITING = "waiting"  # something is in the way, `detail` says what; it is tried again
    FAILED = "failed"  # the thread ended; `detail` says why


@dataclass(frozen=True, slots=True)
class SpaceStanding:
    """One space's collection. `rows` is what Chroma said last, None before it was asked."""

    collection: str
    generation: int
    rows: int | None
    lag_rows: int  # vectors that the ledger holds and the collection does not
    refused: str = ""  # why nothing is written to it


@dataclass(frozen=True, slots=True)
class WriterStatus:
    state: WriterState
    detail: str = ""
    spaces: Mapping[str, SpaceStanding] = field(default_factory=dict)
    set_aside: int = 0  # stores found torn since the start

    @property
    def lag_rows(self) -> int:
        return sum(space.lag_rows for space in self.spaces.values() if not space.refused)


@dataclass(frozen=True, slots=True)
class StoreNotice:
    """`kind` is a stable slug: store-set-aside, store-unavailable, store-back, store-renewed, space-mismatch."""

    kind: str
    text: str
    path: bytes | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


#: of several writers the first of these that any is in
_FIRST = (
    WriterState.FAILED,
    WriterState.WRITING,
    WriterState.OPENING,
    WriterState.WAITING,
    WriterState.OPEN,
    WriterState.CLOSED,
    WriterState.OFF,
)


def merged(statuses: Sequence[WriterStatus]) -> WriterStatus:
    """What several writers, each with a shard of every space, are together; `detail` says what is in the way of any."""
    if len(statuses) == 1:
        return statuses[0]
    spaces: dict[str, SpaceStanding] = {}
    for status in statuses:
        for name, one in status.spaces.items():
            spaces[name] = _both(spaces[name], one) if name in spaces else one
    return WriterStatus(
        min((status.state for status in statuses), key=_FIRST.index),
        "; ".join(status.detail for status in statuses if status.detail),
        spaces,
        sum(status.set_aside for status in statuses),
    )


def _both(one: SpaceStanding, other: SpaceStanding) -> SpaceStanding:
    return replace(
        one,
        rows=None if one.rows is None or other.rows is None else one.rows + other.rows,
        lag_rows=one.lag_rows + other.lag_rows,
        refused="; ".join(filter(None, (one.refused, other.refused))),
    )


class Board:
    """Where the writer's thread keeps its status up to date. Written by that thread alone, read by any."""

    def __init__(self, state: WriterState) -> None:
        self.status = WriterStatus(state)

    @property
    def rows(self) -> int | None:
        """Of all collections, as Chroma said last; None where one of them was not asked yet."""
        rows = [space.rows for space in self.status.spaces.values()]
        return None if None in rows else sum(each or 0 for each in rows)

    def put(self, state: WriterState, detail: str = "") -> None:
        self.status = replace(self.status, state=state, detail=detail)

    def put_spaces(self, spaces: Mapping[str, SpaceStanding]) -> None:
        """These spaces, and no others, are known."""
        self.status = replace(self.status, spaces=spaces)

    def put_space(self, name: str, *, rows: int | None = None, refused: str | None = None) -> None:
        standing = self.status.spaces[name]
        if rows is not None:
            standing = replace(standing, rows=rows)
        if refused is not None:
            standing = replace(standing, refused=refused)
        self.status = replace(self.status, spaces={**self.status.spaces, name: standing})

    def count_set_aside(self) -> None:
        self.status = replace(self.status, set_aside=self.status.set_aside + 1)
