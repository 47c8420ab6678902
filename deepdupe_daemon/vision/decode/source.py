"""The bytes of one file, as the decoders want them."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from typing import BinaryIO

from deepdupe_daemon.vision.decode.refusal import Kind, Refusal

__all__ = ["WHOLE_BYTES", "Source", "read_source"]

#: files up to this size are read once, into memory; larger ones are hashed in passing and read again by their decoder
WHOLE_BYTES = 128 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """An open file: `data` is all of it where it is small enough, else None; `head` is its beginning in any case."""

    fd: int
    size: int
    digest: bytes  # SHA-256
    head: bytes
    data: bytes | None

    def open(self) -> BinaryIO:
        """A new file object at the start; closing it leaves `fd` open."""
        if self.data is not None:
            return io.BytesIO(self.data)
        os.lseek(self.fd, 0, os.SEEK_SET)
        return open(self.fd, "rb", closefd=False)

    def tail(self, count: int) -> bytes:
        """The last `count` bytes."""
        if self.data is not None:
            return self.data[-count:]
        return os.pread(self.fd, count, max(self.size - count, 0))


def read_source(fd: int, max_bytes: int) -> Source:
    """Read and hash the regular file behind `fd`.

    Raises Refusal (empty, too-large, changed: not as many bytes came as the file has), OSError.
    """
    size = os.fstat(fd).st_size
    if size == 0:
        raise Refusal(Kind.EMPTY, "the file is empty")
    if size > max_bytes:
        raise Refusal(Kind.TOO_LARGE, f"{size} bytes, {max_bytes} are read at the most")
    if size <= WHOLE_BYTES:
        # never mapped: a file that is cut while it is mapped kills its reader
        data = _read(fd, size + 1)
        if len(data) != size:
            raise Refusal(Kind.CHANGED, f"{len(data)} bytes came where the file had {size}")
        return Source(fd, size, hashlib.sha256(data).digest(), data[:4096], data)
    digest = hashlib.sha256()
    seen = 0
    while seen <= size and (chunk := os.pread(fd, _CHUNK_BYTES, seen)):
        digest.update(chunk)
        seen += len(chunk)
    if seen != size:
        raise Refusal(Kind.CHANGED, f"{seen} bytes came where the file had {size}")
    return Source(fd, size, digest.digest(), os.pread(fd, 4096, 0), None)


def _read(fd: int, count: int) -> bytes:
    data = os.pread(fd, count, 0)
    if len(data) >= count - 1 or not data:
        return data
    parts, have = [data], len(data)
    while have < count and (part := os.pread(fd, count - have, have)):
        parts.append(part)
        have += len(part)
    return b"".join(parts)
