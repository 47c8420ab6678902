"""All that a file is but for its bytes and its name: owner, mode, times, extended attributes, and the ACL in them."""

from __future__ import annotations

import base64
import errno
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from deepdupe_daemon.act.acl import ACL_ATTRIBUTES, acl_text
from deepdupe_daemon.act.ownership import visible_gid, visible_uid

__all__ = ["Metadata"]

#: Attributes that must be the same wherever a file rests. The others (labels of the security modules, `trusted.*`)
#: belong to a place and not to a file, and are only written down.
_KEPT = ("user.", *ACL_ATTRIBUTES)
#: what a file system without extended attributes says
_NO_ATTRIBUTES = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})


@dataclass(frozen=True, slots=True)
class Metadata:
    """As fstat(2) and flistxattr(2) have it. `mode`: permissions with set-id and sticky bits, no file type.

    `uid` and `gid` are None where a user namespace hides them: they are left as they are, and no copy can have them.
    """

    uid: int | None
    gid: int | None
    mode: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    attributes: Mapping[str, bytes]

    @classmethod
    def of(cls, fd: int) -> Self:
        """Of an open file. Raises OSError."""
        status = os.fstat(fd)
        return cls(
            uid=visible_uid(status.st_uid),
            gid=visible_gid(status.st_gid),
            mode=stat.S_IMODE(status.st_mode),
            atime_ns=status.st_atime_ns,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            attributes=_attributes(fd),
        )

    def apply(self, fd: int) -> None:
        """Give all of it to an open file, as far as it can be given; `lost` says what was not. Raises OSError.

        The owner comes first, because a change of owner clears set-id bits and capabilities; the times come last.
        """
        now = Metadata.of(fd)
        with suppress(PermissionError):
            if (now.uid, now.gid) != (self.uid, self.gid):
                os.fchown(fd, _or_as_it_is(self.uid), _or_as_it_is(self.gid))
        for name, value in self.attributes.items():
            if now.attributes.get(name) != value:
                try:
                    os.setxattr(fd, name, value)
                except OSError as error:
                    if error.errno not in _NO_ATTRIBUTES | {errno.EPERM, errno.EACCES}:
                        raise
        with suppress(PermissionError):
            os.fchmod(fd, self.mode)
        with suppress(PermissionError):
            os.utime(fd, ns=(self.atime_ns, self.mtime_ns))

    def lost(self, fd: int) -> list[str]:
        """What an open file does not have of it, in words; nothing where all was kept. Raises OSError."""
        now = Metadata.of(fd)
        lost = []
        if self.uid is not None and now.uid != self.uid:
            lost.append(f"owner {self.uid} (now {now.uid})")
        if self.gid is not None and now.gid != self.gid:
            lost.append(f"group {self.gid} (now {now.gid})")
        if now.mode != self.mode:
            lost.append(f"mode {self.mode:04o} (now {now.mode:04o})")
        if now.mtime_ns != self.mtime_ns:
            lost.append("modification time")
        lost += [
            f"attribute {name}"
            for name, value in sorted(self.attributes.items())
            if name.startswith(_KEPT) and now.attributes.get(name) != value
        ]
        return lost

    def to_json(self) -> dict[str, Any]:
        """Numbers as they are (null: hidden); the mode in octal; attribute values in base64, which setfattr(1) takes
        after `0s`; an ACL also as setfacl(1) takes it."""
        acls = {
            name.removeprefix("system.posix_acl_"): text
            for name in ACL_ATTRIBUTES
            if name in self.attributes and (text := acl_text(self.attributes[name])) is not None
        }
        return {
            "uid": self.uid,
            "gid": self.gid,
            "mode": f"{self.mode:04o}",
            "atime_ns": self.atime_ns,
            "mtime_ns": self.mtime_ns,
            "ctime_ns": self.ctime_ns,
            "xattrs": {name: base64.b64encode(value).decode("ascii") for name, value in self.attributes.items()},
            "acl": acls,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Raises KeyError, TypeError, ValueError for what is no metadata."""
        return cls(
            uid=int(raw["uid"]) if raw["uid"] is not None else None,
            gid=int(raw["gid"]) if raw["gid"] is not None else None,
            mode=int(raw["mode"], 8),
            atime_ns=int(raw["atime_ns"]),
            mtime_ns=int(raw["mtime_ns"]),
            ctime_ns=int(raw["ctime_ns"]),
            attributes={str(k): base64.b64decode(v, validate=True) for k, v in raw["xattrs"].items()},
        )


def _or_as_it_is(number: int | None) -> int:
    return -1 if number is None else number


def _attributes(fd: int) -> dict[str, bytes]:
    """A name that goes between the listing and the reading is left out; bytes that are no UTF-8 come as surrogates."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return {}
        raise
    found = {}
    for name in names:
        try:
            found[name] = os.getxattr(fd, name)
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
    return found
