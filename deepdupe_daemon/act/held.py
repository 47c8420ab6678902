"""A file in hand: its descriptor, and the name that leads to it in a folder that is held open too."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deepdupe_daemon.act.descriptors import file_at, names_below, open_file, walk
from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.model import FileIdentity

__all__ = ["HeldFile", "digest_of", "hold", "hold_in", "is_at"]

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HeldFile:
    """An open regular file. `status` and `metadata` are of the moment it was opened, before a byte of it was read."""

    path: bytes  # for messages alone: nothing is ever opened by it
    folder_fd: int
    name: bytes
    fd: int
    status: os.stat_result
    metadata: Metadata

    @property
    def identity(self) -> FileIdentity:
        return FileIdentity(self.status.st_dev, self.status.st_ino, self.status.st_size, self.status.st_mtime_ns)

    def leads_here(self) -> bool:
        """Whether the name still leads to this very file. Raises OSError, but for a name that leads nowhere."""
        return is_at(self.name, self.folder_fd, self.status)

    def unchanged(self) -> bool:
        """Whether nobody has written to it since it was opened. Its ctime does not count: our own rename sets it."""
        now = os.fstat(self.fd)
        return (now.st_size, now.st_mtime_ns) == (self.status.st_size, self.status.st_mtime_ns)


def is_at(name: bytes, folder_fd: int, status: os.stat_result) -> bool:
    """Whether `name` leads to the file of `status`. Raises OSError, but for a name that leads nowhere."""
    try:
        there = file_at(name, folder_fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)


def digest_of(fd: int) -> bytes:
    """SHA-256 of all bytes of an open file, wherever its offset is. Raises OSError."""
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(fd, _CHUNK_BYTES, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.digest()


@contextmanager
def hold(path: bytes, root: bytes) -> Iterator[HeldFile]:
    """The regular file at `path` below `root`, held until the end of the block. Raises OSError."""
    try:
        names = names_below(path, root)
    except ValueError as error:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    with walk(root, names[:-1]) as folder_fd, hold_in(folder_fd, names[-1], path) as held:
        yield held


@contextmanager
def hold_in(folder_fd: int, name: bytes, path: bytes) -> Iterator[HeldFile]:
    """The regular file `name` of an open folder, held until the end of the block. Raises OSError."""
    fd = open_file(name, folder_fd)
    try:
        yield HeldFile(path, folder_fd, name, fd, os.fstat(fd), Metadata.of(fd))
    finally:
        os.close(fd)
