"""POSIX ACLs in the form that setfacl(1) takes: for whoever reads a manifest without this program.

The kernel's form, as in the extended attribute `system.posix_acl_access`: a version (2) as a little-endian 32-bit word,
then 8 bytes an entry: tag and permissions, 16 bits each, and an id of 32 bits (linux/posix_acl_xattr.h).
"""

from __future__ import annotations

import struct

__all__ = ["ACL_ATTRIBUTES", "acl_text"]

ACL_ATTRIBUTES = ("system.posix_acl_access", "system.posix_acl_default")
_VERSION = 2
_ENTRY = struct.Struct("<HHI")
#: tag: (word, whether the entry names an id)
_TAGS = {
    0x01: ("user", False),
    0x02: ("user", True),
    0x04: ("group", False),
    0x08: ("group", True),
    0x10: ("mask", False),
    0x20: ("other", False),
}


def acl_text(raw: bytes) -> list[str] | None:
    """`["user::rw-", "user:1000:r--", ...]`; None where `raw` is no ACL of the version known here."""
    if len(raw) < 4 or (len(raw) - 4) % _ENTRY.size or int.from_bytes(raw[:4], "little") != _VERSION:
        return None
    entries = []
    for tag, permissions, number in _ENTRY.iter_unpack(raw[4:]):
        if tag not in _TAGS:
            return None
        word, named = _TAGS[tag]
        letters = "".join(letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        entries.append(f"{word}:{number if named else ''}:{letters}")
    return entries
