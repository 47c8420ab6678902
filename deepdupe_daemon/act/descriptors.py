"""Folders and files by descriptor: below a root no path is ever resolved in one go, and no symbolic link is followed.

A walk opens one name at a time with O_NOFOLLOW, each in the folder before it; that is what openat2(2) does with
RESOLVE_NO_SYMLINKS, and it works on every kernel and under every system-call filter. What lies above the root is the
administrator's, and is opened by its path.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

__all__ = ["file_at", "is_name", "make_folder", "names_below", "open_file", "open_folder", "sync", "walk"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
#: of a folder that is only passed through: no right to list it is needed
_PASSED = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def names_below(path: bytes, root: bytes) -> list[bytes]:
    """The names that lead from `root` to `path`. Raises ValueError where `path` does not lie below it, name by name."""
    stem = root.rstrip(b"/") + b"/"
    names = path[len(stem) :].split(b"/")
    if not path.startswith(stem) or not all(is_name(name) for name in names):
        raise ValueError(f"{path!r} does not lie below {root!r}")
    return names


def is_name(name: bytes) -> bool:
    """Whether this can be the name of one entry of a folder."""
    return bool(name) and name not in (b".", b"..") and b"/" not in name and b"\0" not in name


def open_folder(name: bytes, parent_fd: int) -> int:
    """The folder `name` in `parent_fd`. Raises OSError: ENOTDIR or ELOOP for a symbolic link."""
    return os.open(name, _FOLDER, dir_fd=parent_fd)


@contextmanager
def walk(root: bytes, names: Sequence[bytes] = ()) -> Iterator[int]:
    """The folder that `names` lead to from the folder `root`, held open. Raises OSError."""
    fd = os.open(root, _PASSED if names else _FOLDER)
    try:
        for left, name in zip(range(len(names) - 1, -1, -1), names, strict=True):
            below = os.open(name, _PASSED if left else _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def make_folder(name: bytes, parent_fd: int, mode: int) -> tuple[int, bool]:
    """The folder `name` in `parent_fd`, made with `mode` (whatever the umask) and synced there where there is none;
    says whether it was made. Raises OSError."""
    with suppress(FileNotFoundError):
        return open_folder(name, parent_fd), False
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent_fd)
        made = True
    fd = open_folder(name, parent_fd)
    try:
        if made:
            os.fchmod(fd, mode)
            sync(parent_fd)
    except BaseException:
        os.close(fd)
        raise
    return fd, made


def open_file(name: bytes, parent_fd: int) -> int:
    """The file `name` in `parent_fd` for reading, leaving no access time where that is allowed. Raises OSError.

    Never waits and never opens a device: what is no regular file is refused (ENXIO) before it is opened.
    """
    if not stat.S_ISREG(file_at(name, parent_fd).st_mode):
        raise OSError(errno.ENXIO, "not a regular file", name)
    try:
        return os.open(name, _FILE | os.O_NOATIME, dir_fd=parent_fd)
    except PermissionError:
        return os.open(name, _FILE, dir_fd=parent_fd)  # only its owner may leave the access time alone


def file_at(name: bytes, parent_fd: int) -> os.stat_result:
    """What rests at `name` just now; a symbolic link is itself. Raises OSError."""
    return os.stat(name, dir_fd=parent_fd, follow_symlinks=False)


def sync(fd: int) -> None:
    """fsync(2): what was written to this file, or which names this folder has, is on the disk when it returns."""
    os.fsync(fd)
