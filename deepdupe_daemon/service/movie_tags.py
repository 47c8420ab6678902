"""The content identifier that ties a Live Photo's movie to its picture.

QuickTime metadata: moov / meta with a `keys` atom, whose entry `com.apple.quicktime.content.identifier` numbers an item
of `ilst` (QuickTime File Format, "Metadata"). Only headers are read, and of `meta` a bounded part.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

__all__ = ["movie_content_id"]

_KEY = b"com.apple.quicktime.content.identifier"
_MOST_ATOMS = 256
_MOST_META_BYTES = 256 * 1024
_MOST_ID_BYTES = 64


def movie_content_id(path: bytes) -> str | None:
    """The identifier, or None where the file has none or is no movie. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for name, start, end in _atoms(fd, 0, os.fstat(fd).st_size):
            if name == b"moov":
                metas = (span for kind, *span in _atoms(fd, start, end) if kind == b"meta")
                found = (_in_meta(os.pread(fd, min(last - first, _MOST_META_BYTES), first)) for first, last in metas)
                return next((each for each in found if each is not None), None)
    finally:
        os.close(fd)
    return None


def _atoms(fd: int, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name and span of the contents of each atom between two places in the file."""
    for _ in range(_MOST_ATOMS):
        head = os.pread(fd, 16, start)
        if start + 8 > end or len(head) < 8:
            return
        size, name = struct.unpack_from(">I4s", head)
        skip = 8
        if size == 1 and len(head) == 16:
            (size,), skip = struct.unpack_from(">Q", head, 8), 16
        last = end if size == 0 else start + size
        if (size and size < skip) or last > end:
            return
        yield name, start + skip, last
        start = last


def _in_meta(meta: bytes) -> str | None:
    inner = dict(_parts(meta)) or dict(_parts(meta[4:]))  # MP4 has a version and flags first, QuickTime has not
    keys, items = inner.get(b"keys", b""), inner.get(b"ilst", b"")
    names = [value for _, value in _parts(keys[8:])]
    if _KEY not in names:
        return None
    number = struct.pack(">I", names.index(_KEY) + 1)
    for name, item in _parts(items):
        data = dict(_parts(item)).get(b"data", b"")
        if name == number and 8 < len(data) <= 8 + _MOST_ID_BYTES:
            text = data[8:].decode("ascii", "replace").strip("\0 ")
            return text if text.isprintable() and text else None
    return None


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            return
        yield name, data[at + 8 : at + size]
        at += size
