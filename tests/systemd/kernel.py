"""The kernel's calls for namespaces and mounts that Python has no words for."""

from __future__ import annotations

import ctypes
import os

__all__ = [
    "BIND", "NEWCGROUP", "NEWIPC", "NEWNET", "NEWNS", "NEWPID", "NEWUTS", "NODEV", "NOEXEC", "NOSUID", "PRIVATE",
    "QUIET", "RDONLY", "REC", "REMOUNT", "SHARED", "bind", "call", "drop_capability", "mount", "put",
    "set_death_signal",
]  # fmt: skip

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x20000000, 0x40000000,
)  # fmt: skip
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC = 1, 2, 4, 8, 32, 4096, 1 << 14
PRIVATE, SHARED = 1 << 18, 1 << 20
QUIET = NOSUID | NODEV | NOEXEC
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24

_LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: str | int | None) -> None:
    """Call a function of the C library; OSError where it gives -1."""
    plain = [
        arg.encode() if isinstance(arg, str) else ctypes.c_ulong(arg) if isinstance(arg, int) else arg for arg in args
    ]
    if getattr(_LIBC, name)(*plain) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}{args}: {os.strerror(error)}")


def mount(fstype: str | None, target: str, flags: int = 0, data: str | None = None, source: str | None = None) -> None:
    call("mount", source or fstype, target, fstype, flags, data)


def bind(source: str, target: str, *, readonly: bool) -> None:
    mount(None, target, BIND | REC, source=source)
    if readonly:
        mount(None, target, BIND | REMOUNT | RDONLY, source="none")


def set_death_signal(number: int) -> None:
    """This process ends with its parent."""
    call("prctl", _PR_SET_PDEATHSIG, number, 0, 0, 0)


def drop_capability(number: int) -> None:
    """For this process and all that it starts, for good."""
    call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)


def put(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
