"""A system-call filter for a worker that has started: no network, no new processes, no file opened for writing.

A deny list: decoders are other people's libraries, and a list of all that they may call would break with each of their
releases. What is denied fails with EPERM. The filter is classic BPF (linux/filter.h, linux/seccomp.h, seccomp(2)).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence

__all__ = ["deny_dangerous_calls"]

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000
#: O_WRONLY | O_RDWR | O_CREAT | O_TRUNC
_WRITE_FLAGS = 0o1 | 0o2 | 0o100 | 0o1000

#: name: (x86_64, aarch64), of the kernel's unistd.h; None where the architecture has no such call
_DENIED: dict[str, tuple[int, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "bind": (49, 200), "listen": (50, 201),
    "socketpair": (53, 199), "accept4": (288, 242),
    "vfork": (58, None), "fork": (57, None), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "mount_setattr": (442, 442), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsmount": (432, 432), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "truncate": (76, 45), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "mknod": (133, None), "mknodat": (259, 33),
    "creat": (85, None), "openat2": (437, 437),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "utimensat": (280, 88), "futimesat": (261, None), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190,
    7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "ioctl": (16, 29),
    "fallocate": (285, 47), "flock": (73, 32), "memfd_create": (319, 279),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274), "migrate_pages": (256, 238), "move_pages": (279, 239), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448),
}  # fmt: skip
#: (x86_64, aarch64): calls whose first argument names a process; 0 is the caller. Without this a worker could take the
#: daemon's memory or files away by a lower limit, since both run as the same user.
_OWN = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}
#: (x86_64, aarch64): only to this process itself, which is how abort() ends it
_SIGNALS = {"kill": (62, 129), "tgkill": (234, 131)}
_CLONE, _CLONE3 = (56, 220), (435, 435)
#: call and the position of its flags
_OPENS: dict[str, tuple[int | None, int | None, int]] = {"open": (2, None, 1), "openat": (257, 56, 2)}

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _filter(machine: str, pid: int) -> bytes:
    column = 0 if machine == "x86_64" else 1
    denied = _step(_RETURN, _ERRNO | errno.EPERM)
    steps = [
        _step(_LOAD, _ARCH_AT),
        _step(_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":  # the x32 numbers name the same calls a second time
        steps += [_step(_AT_LEAST, _X32_BIT, 0, 1), denied]
    numbers = sorted({number for pair in _DENIED.values() if (number := pair[column]) is not None})
    for number in numbers:
        steps += [_step(_EQUAL, number, 0, 1), denied]
    # glibc falls back to clone, whose flags can be looked at
    steps += [_step(_EQUAL, _CLONE3[column], 0, 1), _step(_RETURN, _ERRNO | errno.ENOSYS)]
    steps += _when(_CLONE[column], 0, [_step(_ANY_BIT, _CLONE_THREAD, 1, 0), denied])
    for pair in _SIGNALS.values():
        steps += _when(pair[column], 0, [_step(_EQUAL, pid, 1, 0), denied])
    for pair in _OWN.values():
        steps += _when(pair[column], 0, [_step(_EQUAL, 0, 2, 0), _step(_EQUAL, pid, 1, 0), denied])
    for opening in _OPENS.values():
        number = opening[column]
        if number is not None:
            steps += _when(number, opening[2], [_step(_ANY_BIT, _WRITE_FLAGS, 0, 1), denied])
    steps.append(_step(_RETURN, _ALLOW))
    return b"".join(steps)


def _when(number: int, argument: int, then: Sequence[bytes]) -> list[bytes]:
    """Steps for one call that look at the low half of one argument; afterwards the call's number is loaded again."""
    body = [_step(_LOAD, _ARGS_AT + 8 * argument), *then, _step(_LOAD, _NUMBER_AT)]
    return [_step(_EQUAL, number, 0, len(body)), *body]


def deny_dangerous_calls(libc: ctypes.CDLL) -> bool:
    """Install the filter for this process, for good; no_new_privs has to be set. False where this machine has none."""
    machine = platform.machine()
    if machine not in _AUDIT_ARCH or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    code = _filter(machine, os.getpid())
    program = _Program(len(code) // 8, code)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)
