"""Which file system lies where: `/proc/self/mountinfo`, read and compared.

The format is that of proc(5): `36 35 98:0 /root /point options optional... - type source options`, with space, tab,
newline and backslash as three octal digits after a backslash.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

__all__ = ["MOUNTINFO", "Mount", "MountTable", "MountWatch", "is_below"]

MOUNTINFO = "/proc/self/mountinfo"

#: File systems that others can change behind this kernel's back, so that inotify hears only half of it. Local ones that
#: merely run in user space on a block device (fuseblk: ntfs-3g, exfat) are not among them.
_REMOTE_TYPES = frozenset(
    b"9p acfs afs afp autofs beegfs ceph cifs coda davfs gfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs"
    b" panfs prl_fs smb3 smbfs vboxsf virtiofs vmhgfs".split()
)
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. `point` is an absolute path as bytes, `device` what `st_dev` says there (but on btrfs)."""

    point: bytes
    device: int
    fstype: bytes
    source: bytes

    @property
    def remote(self) -> bool:
        """Whether files can change there without an inotify event: network, host-shared and FUSE file systems."""
        return self.fstype in _REMOTE_TYPES or self.fstype == b"fuse" or self.fstype.startswith(b"fuse.")


class MountTable:
    """The mounts of one moment. Immutable."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        # a later mount on the same point hides the earlier one
        self._by_point = {mount.point: mount for mount in mounts}

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """From the bytes of a mountinfo file. Raises ValueError for a line that is none."""
        mounts = []
        for line in text.splitlines():
            left, separator, right = line.partition(b" - ")
            before, after = left.split(b" "), right.split(b" ")
            if not separator or len(before) < 6 or len(after) < 2:
                raise ValueError(f"no mountinfo line: {line!r}")
            major, _, minor = before[2].partition(b":")
            device = os.makedev(int(major), int(minor))
            mounts.append(Mount(_unescape(before[4]), device, after[0], _unescape(after[1])))
        return cls(mounts)

    @classmethod
    def read(cls, path: str = MOUNTINFO) -> Self:
        """The mounts of now. Raises OSError."""
        with open(path, "rb") as file:
            return cls.parse(file.read())

    def holder(self, path: bytes) -> Mount | None:
        """The mount that holds `path`, by name; None where not even `/` is listed."""
        while True:
            mount = self._by_point.get(path)
            if mount is not None or path == b"/":
                return mount
            path = os.path.dirname(path)

    def below(self, path: bytes) -> list[Mount]:
        """The mounts strictly below `path`, sorted by point."""
        return sorted((m for m in self._by_point.values() if is_below(m.point, path)), key=lambda m: m.point)

    def remote_devices(self, path: bytes) -> frozenset[int]:
        """The devices of the remote file systems that hold `path` or are mounted below it."""
        holder = self.holder(path)
        mounts = self.below(path) + ([holder] if holder is not None else [])
        return frozenset(mount.device for mount in mounts if mount.remote)

    def concerning(self, path: bytes) -> frozenset[bytes]:
        """The mount points on which the files below `path` depend: its holder's, but for `/`, and all below."""
        holder = self.holder(path)
        points = {mount.point for mount in self.below(path)}
        if holder is not None and holder.point != b"/":
            points.add(holder.point)
        return frozenset(points)


class MountWatch:
    """Says whether the mounts have changed, for the price of one poll(2). Used by one thread."""

    def __init__(self, path: str = MOUNTINFO) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLPRI | select.POLLERR)

    def changed(self) -> bool:
        """Whether a mount came or went since the last call; proc(5) marks that with POLLERR and POLLPRI."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        os.close(self._fd)


def is_below(path: bytes, top: bytes) -> bool:
    """Whether `path` lies strictly below `top`, by name."""
    return path.startswith(top if top.endswith(b"/") else top + b"/") and path != top


def _unescape(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
