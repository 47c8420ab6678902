"""The proof at the moment of action: what is to move is what was judged, and what is to stay is there.

Between daemons it is a lock that makes the proof hold: each file that is to move is locked for us alone, each keeper
together with others who keep by it (flock(2) on the files themselves), in one order and without waiting. So of two that
would take a file each and keep by the other's, one is refused; it finds the other's file gone when it tries again.
"""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterable, Sequence

from deepdupe_daemon.act.held import HeldFile, digest_of
from deepdupe_daemon.act.place import is_quarantine
from deepdupe_daemon.act.refusal import explained, refusal
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import Party
from deepdupe_daemon.model import display_path

__all__ = ["lock_files", "prove_apart", "prove_keeper", "prove_member"]


def lock_files(members: Iterable[HeldFile], keepers: Iterable[HeldFile]) -> None:
    """Lock them until their descriptors are closed. Raises ActionRefused (busy, no-lock)."""
    wanted = {(file.status.st_dev, file.status.st_ino): (file, fcntl.LOCK_SH) for file in keepers}
    wanted |= {(file.status.st_dev, file.status.st_ino): (file, fcntl.LOCK_EX) for file in members}
    for _, (file, how) in sorted(wanted.items(), key=lambda item: item[0]):
        try:
            fcntl.flock(file.fd, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ActionRefused(
                "another program holds it locked", kind="busy", retry=True, where=display_path(file.path)
            ) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL):
                raise refusal(error, file.path) from error
            raise ActionRefused(
                "its file system has no locks for files that are open for reading",
                kind="no-lock",
                where=display_path(file.path),
                hint="without them two daemons could each take one of a pair: only reporting is possible there",
            ) from error


def prove_member(file: HeldFile, party: Party) -> None:
    """That it is the file that was judged, byte for byte. Raises ActionRefused."""
    where = display_path(party.path)
    if file.identity != party.identity:
        raise ActionRefused("it has changed since it was judged", kind="changed", where=where)
    if file.status.st_nlink != 1:
        raise ActionRefused(
            f"it has {file.status.st_nlink} names (hard links): to move one of them would free nothing",
            kind="hard-linked",
            where=where,
        )
    with explained(party.path):
        if digest_of(file.fd) != party.digest or not file.unchanged():
            raise ActionRefused("it has changed since it was judged", kind="changed", where=where)
        if not file.leads_here():
            raise ActionRefused("another file took its name", kind="changed", where=where)


def prove_keeper(file: HeldFile, party: Party, places: Sequence[bytes]) -> None:
    """That the copy to keep is there with the bytes that were judged, and in no quarantine. Raises ActionRefused."""
    where = display_path(party.path)
    if is_quarantine(party.path, places):
        raise ActionRefused("the copy to keep lies in quarantine", kind="keeper-quarantined", where=where)
    with explained(party.path, of="keeper"):
        if digest_of(file.fd) != party.digest or not file.unchanged():
            raise ActionRefused("the copy to keep has changed", kind="keeper-changed", where=where)
        if not file.leads_here():
            raise ActionRefused("the copy to keep is gone from its place", kind="keeper-gone", where=where)


def prove_apart(members: Sequence[HeldFile], keepers: Sequence[HeldFile]) -> None:
    """That no file that stays is one of those that move under another name. Raises ActionRefused."""
    moving = {(file.status.st_dev, file.status.st_ino): file for file in members}
    for keeper in keepers:
        member = moving.get((keeper.status.st_dev, keeper.status.st_ino))
        if member is not None:
            raise ActionRefused(
                "it and the copy to keep are one file under two names",
                kind="same-file",
                where=display_path(member.path),
            )
