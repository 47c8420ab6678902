"""Who asks at the control socket: the kernel says so, the asker cannot."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from deepdupe_daemon.errors import ControlError

__all__ = ["Peer", "check_peer", "own_group", "peer_of"]

#: of asm-generic/socket.h; Python has no name for it
_SO_PEERGROUPS = 59
_GROUP_BYTES = 1024  # Python's limit for an answer of getsockopt(2): 256 groups


@dataclass(frozen=True, slots=True)
class Peer:
    """The asker when it connected: user, group and the other groups that it was in."""

    uid: int
    gid: int
    groups: frozenset[int]


def peer_of(connection: socket.socket) -> Peer:
    """Raises OSError where the other side is gone."""
    size = struct.calcsize("3i")
    _, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUP_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        raw = b""  # in more groups than that: then it is who it is by user and group alone
    return Peer(uid, gid, frozenset(struct.unpack(f"{len(raw) // 4}I", raw)))


def own_group() -> int | None:
    """The group of this process, where it is its user's own (`deepdupe:deepdupe`); None for one that others share.

    Whoever an administrator puts into such a group may control the daemon; a group like `users` says nothing.
    """
    gid = os.getegid()
    try:
        return gid if grp.getgrgid(gid).gr_name == pwd.getpwuid(os.geteuid()).pw_name else None
    except KeyError:
        return None


def check_peer(peer: Peer, uid: int, group: int | None) -> None:
    """Raises ControlError but for root, the daemon's own user and members of `group`."""
    if peer.uid in (0, uid) or (group is not None and group in (peer.groups | {peer.gid})):
        return
    raise ControlError(
        f"user {peer.uid} may not control this daemon", hint="run the command as the daemon's user, or with sudo"
    )
