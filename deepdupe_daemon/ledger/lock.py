"""One state dir holds one daemon."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from deepdupe_daemon.errors import AlreadyRunning, StateError

__all__ = ["StateLock", "lock_state_dir", "make_state_dir"]

_LOCK_NAME = "lock"
_PID_BYTES = 32


class StateLock:
    """The held lock. The kernel drops it when the process ends, however it ends; children do not inherit it."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd: int | None = fd
        self.path = path

    def release(self) -> None:
        """Give the state dir back. The file stays: removing it would let two daemons lock two files of one name."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def make_state_dir(state_dir: Path) -> None:
    """Create `state_dir` with mode 0700 whatever the umask; one that exists is left as its owner made it."""
    try:
        os.makedirs(state_dir.parent, exist_ok=True)
        os.mkdir(state_dir, 0o700)
        os.chmod(state_dir, 0o700)
    except FileExistsError as error:
        if not state_dir.is_dir():
            raise StateError("the state dir is no folder", where=str(state_dir)) from error
    except OSError as error:
        raise StateError(
            f"the state dir cannot be made: {error.strerror}", where=str(state_dir), hint="check owner and permissions"
        ) from error


def lock_state_dir(state_dir: Path) -> StateLock:
    """Take the state dir for this process. Raises AlreadyRunning with the holder's pid, StateError.

    A file that a dead process left is no obstacle: the lock is the kernel's (flock), the file only names the holder.
    """
    make_state_dir(state_dir)
    path = os.path.join(state_dir, _LOCK_NAME)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StateError(
            f"the lock cannot be opened: {error.strerror}", where=path, hint="check owner and permissions"
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = _holder(fd)
        os.close(fd)
        raise AlreadyRunning(
            f"another daemon{f' (pid {pid})' if pid else ''} uses this state dir",
            pid=pid,
            where=str(state_dir),
            hint="stop it, or choose another state dir",
        ) from error
    except OSError as error:
        os.close(fd)
        raise StateError(f"the lock cannot be taken: {error.strerror}", where=path) from error
    os.fchmod(fd, 0o600)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return StateLock(fd, path)


def _holder(fd: int) -> int | None:
    """The pid in the lock file; None in the instant before its holder has written it."""
    text = os.pread(fd, _PID_BYTES, 0).strip()
    return int(text) if text.isdigit() else None
