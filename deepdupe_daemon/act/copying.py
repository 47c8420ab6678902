"""A copy on another file system that is the same in everything that matters, or none."""

from __future__ import annotations

import hashlib
import os

from deepdupe_daemon.act.descriptors import sync
from deepdupe_daemon.act.held import HeldFile, digest_of
from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.model import display_path

__all__ = ["copy_file"]

_CHUNK_BYTES = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_file(source: HeldFile, digest: bytes, metadata: Metadata, folder_fd: int, name: bytes) -> os.stat_result:
    """Copy an open file to a new `name`: bytes, owner, mode, times, attributes; synced, then read back from the disk
    and compared with `digest`. Gives the copy's status. Raises ActionRefused (changed, metadata, damaged), OSError,
    and leaves what it has made: its caller knows the name.
    """
    fd = os.open(name, _NEW, 0o600, dir_fd=folder_fd)
    try:
        if _pour(source.fd, fd) != digest or not source.unchanged():
            raise ActionRefused("it changed while it was copied", kind="changed", where=display_path(source.path))
        metadata.apply(fd)
        hidden = ["its owner and group, which a user namespace hides"] if None in (metadata.uid, metadata.gid) else []
        lost = hidden + metadata.lost(fd)
        if lost:
            raise ActionRefused(
                f"on the other file system it would lose: {', '.join(lost)}",
                kind="metadata",
                where=display_path(source.path),
                hint="use a quarantine folder on a file system, and a user, that can keep it",
            )
        sync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # so that the disk is asked, and not our own pages
        if digest_of(fd) != digest:
            raise ActionRefused("the copy came out damaged", kind="io", retry=True, where=display_path(source.path))
        os.utime(fd, ns=(metadata.atime_ns, metadata.mtime_ns))  # reading it back has touched the access time
        sync(fd)
        return os.fstat(fd)
    finally:
        os.close(fd)


def _pour(source_fd: int, target_fd: int) -> bytes:
    """Copy all bytes; gives the SHA-256 of what was read."""
    digest, offset = hashlib.sha256(), 0
    while chunk := os.pread(source_fd, _CHUNK_BYTES, offset):
        digest.update(chunk)
        offset += len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target_fd, view) :]
    return digest.digest()
