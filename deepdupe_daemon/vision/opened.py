"""A file as the daemon opens it for a worker: the regular file that was meant, or a reason why not."""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Self

from deepdupe_daemon.errors import FileFailed, NotAnImage
from deepdupe_daemon.model import FileIdentity, display_path
from deepdupe_daemon.vision.decode.refusal import Kind

__all__ = ["OpenedFile", "failure"]

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
#: O_NOFOLLOW on a link, and sockets or devices without a driver
_NO_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV})


def failure(kind: Kind, text: str, path: bytes) -> FileFailed:
    """The error of a file, as the ledger and the journal get it."""
    where = display_path(path)
    if kind is Kind.NOT_AN_IMAGE:
        return NotAnImage(text, where=where)
    return FileFailed(text, kind=str(kind), retry=kind.retry, where=where)


class OpenedFile:
    """A context manager over an open descriptor; never follows a link, never waits, never opens anything but a file."""

    def __init__(self, path: bytes, expected: FileIdentity | None = None) -> None:
        """Raises FileFailed: vanished, unreadable, not-a-file, or changed where it is not the `expected` one."""
        self._path = path
        try:
            # looked at before it is opened: to open a device can do things
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise failure(Kind.NOT_A_FILE, "not a regular file", path)
            self.fd = _open(path)
        except OSError as error:
            raise _explain(error, path) from error
        try:
            self.identity = self._identity()
            self._expect(expected)
        except BaseException:
            os.close(self.fd)
            raise

    def _expect(self, expected: FileIdentity | None) -> None:
        if expected is not None and self.identity != expected:
            raise failure(Kind.CHANGED, "it has changed since it arrived", self._path)

    def confirm(self) -> None:
        """Raises FileFailed (changed) where the file is not as it was when it was opened."""
        if self._identity() != self.identity:
            raise failure(Kind.CHANGED, "it changed while it was read", self._path)

    def _identity(self) -> FileIdentity:
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode):
            raise failure(Kind.NOT_A_FILE, "not a regular file", self._path)
        return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self.fd)


def _open(path: bytes) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_NOATIME)  # reading leaves no trace on the user's file
    except PermissionError:
        return os.open(path, flags)  # only its owner may ask for that


def _explain(error: OSError, path: bytes) -> FileFailed:
    name = errno.errorcode.get(error.errno or 0, "?")
    if error.errno in _GONE:
        return failure(Kind.VANISHED, "no longer there", path)
    if error.errno in _NO_FILE:
        return failure(Kind.NOT_A_FILE, "not a regular file", path)
    refused = failure(Kind.UNREADABLE, f"{error.strerror} ({name})", path)
    refused.retry = refused.retry and error.errno != errno.ENAMETOOLONG  # it will not grow shorter
    return refused
