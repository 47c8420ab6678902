"""A root that goes away and comes back: told once each, and nothing in it counts as removed meanwhile."""

from __future__ import annotations

from deepdupe_daemon.intake.notice import Notice, NoticeKind
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.root import Root

__all__ = ["EMPTY", "come_back", "go_offline"]

#: the reason of a root that shows nothing where files are known: as a rule, a disk that is not mounted
EMPTY = "it is empty"


def go_offline(parts: Parts, root: Root, why: str, *, known: int | None = None) -> None:
    """`root` is away from now on, for the reason `why`; `known` files are known there, if that was counted."""
    root.first_walk_done = True
    root.next_walk_s = None
    parts.settling.drop_all(root.path)
    if root.offline is None:
        kept = f"its {known:,} known files are kept" if known is not None else "what is known of it is kept"
        counts = {} if known is None else {"known": known}
        text = f"{root.shown} is offline: {why}; {kept}"
        parts.tell(Notice(NoticeKind.ROOT_OFFLINE, text, root.path, counts=counts))
    root.offline = why


def come_back(parts: Parts, root: Root) -> None:
    """`root` is there again."""
    if root.offline is not None:
        root.offline = None
        parts.tell(Notice(NoticeKind.ROOT_BACK, f"{root.shown} is back, and is walked", root.path))
