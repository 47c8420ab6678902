"""What a worker gives up once it has started: all it needs from then on comes to it as an open file.

Each protection is taken where the kernel offers it; a worker says which it has, and the pool's status shows it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterable

from deepdupe_daemon.vision.seccomp import deny_dangerous_calls

__all__ = ["die_with_parent", "lock_down"]

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
#: landlock(7); the numbers are the same on every architecture
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION_FLAG, _LANDLOCK_PATH_BENEATH = 1, 1
_FS_EXECUTE, _FS_READ_FILE, _FS_READ_DIR = 1 << 0, 1 << 2, 1 << 3
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS = 0b11  # bind and connect, since version 4
_SCOPES = 0b11  # abstract sockets and signals, since version 6


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; SystemExit where it has already."""
    _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(0)


def lock_down(readable: Iterable[str]) -> list[str]:
    """Give up everything but reading below `readable` (for imports), and name what was given up."""
    libc = _libc()
    kept: list[str] = []
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        kept.append("no-new-privs")
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        kept.append("not-dumpable")
    if _restrict_files(libc, readable):
        kept.append("landlock")
    if deny_dangerous_calls(libc):
        kept.append("seccomp")
    elif libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        kept.append("no-network")
    return kept


def import_folders() -> list[str]:
    """Where Python and the libraries that it has loaded come from."""
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path)}
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            if path and not path.startswith(("memfd:", "dev/")):
                folders.add(os.path.dirname("/" + path))
    return sorted(folder for folder in folders if folder not in {"", "/"})


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _restrict_files(libc: ctypes.CDLL, readable: Iterable[str]) -> bool:
    """Landlock: no file but those below `readable`, and those only to be read."""
    if platform.machine() not in {"x86_64", "aarch64", "riscv64"}:
        return False
    libc.syscall.restype = ctypes.c_long
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION_FLAG)
    if version < 1:
        return False
    attr = _RulesetAttr(
        _FS_RIGHTS[min(version, max(_FS_RIGHTS))], _NET_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.byref(attr), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for folder in readable:
            _allow_reading(libc, ruleset, folder)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, folder: str) -> None:
    try:
        fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there: nothing to import from it either
    try:
        rights = _FS_EXECUTE | _FS_READ_FILE | (_FS_READ_DIR if os.path.isdir(folder) else 0)
        rule = _PathAttr(rights, fd)
        libc.syscall(_LANDLOCK_ADD, ruleset, _LANDLOCK_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(fd)
