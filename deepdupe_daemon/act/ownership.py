"""Owners that cannot be seen: in a user namespace that does not know them all files of others look like nobody's.

A unit with `PrivateUsers=yes` is such a place. A manifest that had nobody's number would give the file to nobody.
"""

from __future__ import annotations

from functools import cache

__all__ = ["visible_gid", "visible_uid"]


def visible_uid(uid: int) -> int | None:
    """`uid` as fstat(2) gave it; None where it stands for an owner that this user namespace does not know."""
    return None if uid in _unseen("uid") else uid


def visible_gid(gid: int) -> int | None:
    """The same for a group."""
    return None if gid in _unseen("gid") else gid


@cache
def _unseen(kind: str) -> frozenset[int]:
    """The number that stands for all those that are not known here, unless it is itself somebody's."""
    with open(f"/proc/sys/fs/overflow{kind}") as file:
        overflow = int(file.read())
    with open(f"/proc/self/{kind}_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    known = any(start <= overflow < start + count for start, _, count in ranges)
    return frozenset() if known else frozenset({overflow})
