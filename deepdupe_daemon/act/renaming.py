"""Renaming that replaces nothing: renameat2(RENAME_NOREPLACE), which Python's library lacks.

glibc has it since 2.28 and musl since 1.2.6; before, the bare system call serves (Linux 3.15). A file system that does
not know the flag (NFS, old FUSE) gives EINVAL: there a hard link and an unlink do, since link(2) replaces nothing
either. Between these two the file has both names, which recovery knows how to end.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from functools import cache

__all__ = ["bare_renameat2", "rename_noreplace"]

#: source folder, name, target folder, name: 0, or an errno
Renameat2 = Callable[[int, bytes, int, bytes], int]

_RENAME_NOREPLACE = 1
#: of the kernel's unistd.h; all architectures but the old ones use the generic table's number
_SYSCALLS = {"x86_64": 316, "i686": 353, "armv7l": 382, "ppc64le": 357, "s390x": 347}
_GENERIC_SYSCALL = 276


def rename_noreplace(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
    """Move the name `source` in the folder `source_fd` to `target` in `target_fd`. Raises OSError.

    FileExistsError where the target is taken, EXDEV between file systems and between bind mounts of one.
    """
    code = _renameat2()(source_fd, source, target_fd, target)
    if code in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
        try:
            os.unlink(source, dir_fd=source_fd)
        except OSError:  # a sticky folder lets a file be linked that it does not let go
            os.unlink(target, dir_fd=target_fd)
            raise
    elif code:
        raise OSError(code, os.strerror(code), source)


@cache
def _renameat2() -> Renameat2:
    """The library's function, or else the system call."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _called(libc.renameat2) if hasattr(libc, "renameat2") else bare_renameat2()


def bare_renameat2() -> Renameat2:
    """The system call itself, by its number."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _called(libc.syscall, ctypes.c_long(_SYSCALLS.get(platform.machine(), _GENERIC_SYSCALL)))


def _called(function: Callable[..., int], *before: ctypes.c_long) -> Renameat2:
    def renameat2(source_fd: int, source: bytes, target_fd: int, target: bytes) -> int:
        failed = function(*before, source_fd, source, target_fd, target, ctypes.c_uint(_RENAME_NOREPLACE))
        return ctypes.get_errno() if failed else 0

    return renameat2
