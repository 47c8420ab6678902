"""What intake tells the service about itself: the notices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Notice", "NoticeKind"]


class NoticeKind(StrEnum):
    """The kinds; the words are an interface (each is the slug of a journal record)."""

    EVENTS_LOST = "events-lost"  # the kernel or this program dropped events; a walk makes it good
    WATCH_LIMIT = "watch-limit"  # not every directory can be watched; walks find what happens there
    ROOT_OFFLINE = "root-offline"  # a root, or a file system in it, is away; nothing is taken for removed
    ROOT_BACK = "root-back"  # it is there again, and is walked
    RESCAN_DONE = "rescan-done"  # a walk that was asked for, or that made a loss good, has ended
    UNREADABLE = "unreadable"  # directories that could not be listed; their files keep their rows
    HANDLER_ERROR = "handler-error"  # intake itself failed; it starts over with a walk


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `text` is a sentence without control characters; `path` is exact."""

    kind: NoticeKind
    text: str
    root: bytes | None = None
    path: bytes | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
