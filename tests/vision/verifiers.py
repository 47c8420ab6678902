"""Functions that a worker imports by name and calls, as it would the verifier; each tries something."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from deepdupe_daemon.model import Comparison, Relation, U8Array


def _found(score: float = 1.0, reason: str = "", **measures: float) -> Comparison:
    return Comparison(Relation.SAME, score, reason=reason, measures=measures)


def sizes(a: U8Array, b: U8Array, *, a_facts: dict[str, Any], b_facts: dict[str, Any]) -> Comparison:
    """What it was given."""
    return _found(
        a_height=a.shape[0],
        a_width=a.shape[1],
        b_height=b.shape[0],
        b_width=b.shape[1],
        a_full_width=a_facts["width_px"],
        b_full_height=b_facts["height_px"],
        difference=float(abs(a.astype(int).mean() - b.astype(int).mean())),
        pid=os.getpid(),
    )


def scribble(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    """Changes what it was given; says what it was."""
    before = float(a.mean())
    a[:] = 0
    return _found(before=before)


def raises(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    raise ValueError("no such luck\x1b[31m")


def nonsense(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    return _found(score=float("1e300") if a.size else 0.0, reason="\x1b[31mred", big=1.0)


def dies(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    ctypes.string_at(0)
    return _found()


def hangs(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    while True:
        pass


def hoards(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    hoard = []
    while True:
        hoard.append(bytearray(16 << 20))


def imports_cv2(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    import cv2

    return _found(mean=float(cv2.cvtColor(a, cv2.COLOR_RGB2GRAY).mean()), threads=cv2.getNumThreads())


def tries_to_break_out(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    """1 for each attempt that was denied."""
    parent = os.getppid()
    attempts = {
        "network": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "unix_socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "subprocess": lambda: subprocess.run(["/bin/true"], check=True),
        "kill_parent": lambda: os.kill(parent, 0),
        "signal_parent": lambda: signal.pidfd_send_signal(os.pidfd_open(parent), 0),
        "write_file": lambda: os.open("/tmp/deepdupe-must-not-exist", os.O_WRONLY | os.O_CREAT),
        "make_folder": lambda: os.mkdir("/tmp/deepdupe-must-not-exist"),
        "rename": lambda: os.rename("/tmp", "/tmp2"),
        "ptrace": lambda: _checked(ctypes.CDLL(None, use_errno=True).ptrace(16, parent, 0, 0)),
        "limit_parent": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE),
        "pin_parent": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        "slow_parent": lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        "namespace": lambda: _checked(ctypes.CDLL(None, use_errno=True).unshare(0x10000000)),
        "memory_file": lambda: os.memfd_create("code"),
        "io_uring": lambda: _checked(
            ctypes.CDLL(None, use_errno=True).syscall(425, 8, ctypes.create_string_buffer(120))
        ),
        "raise_limit": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    }
    attempts |= {f"chmod_{fd}": (lambda fd=fd: os.fchmod(fd, 0o777)) for fd in _given_files()}
    attempts |= {f"touch_{fd}": (lambda fd=fd: os.utime(fd)) for fd in _given_files()}
    attempts |= {f"xattr_{fd}": (lambda fd=fd: os.setxattr(fd, "user.x", b"")) for fd in _given_files()}
    attempts |= {f"reopen_{fd}": (lambda fd=fd: os.open(f"/proc/self/fd/{fd}", os.O_RDWR)) for fd in _given_files()}
    return _found(**{name: float(_denied(attempt)) for name, attempt in attempts.items()})


def reads_elsewhere(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    """1 for each file or folder that it may not look into."""
    attempts = {
        "etc_passwd": lambda: open("/etc/passwd").close(),
        "root_folder": lambda: os.listdir("/"),
        "parent_memory": lambda: open(f"/proc/{os.getppid()}/environ", "rb").close(),
    }
    return _found(**{name: float(_denied(attempt)) for name, attempt in attempts.items()})


def surroundings(a: U8Array, b: U8Array, **_facts: object) -> Comparison:
    """What the process looks like from inside."""
    thread = threading.Thread(target=int)  # threads are allowed: libraries want them
    thread.start()
    thread.join()
    return _found(
        open_files=len(_open_files()),
        environment=len(os.environ),
        secret=float("DEEPDUPE_TEST_SECRET" in os.environ),
        core=resource.getrlimit(resource.RLIMIT_CORE)[1],
        fsize=resource.getrlimit(resource.RLIMIT_FSIZE)[1],
        data=resource.getrlimit(resource.RLIMIT_DATA)[1],
        leader=float(os.getsid(0) == os.getpid()),
        torch=float("torch" in sys.modules),
    )


def _open_files() -> list[int]:
    found = []
    for fd in range(64):
        try:
            os.fstat(fd)
        except OSError:
            continue
        found.append(fd)
    return found


def _given_files() -> list[int]:
    """Open regular files that are no memfd: the two pictures."""
    return [fd for fd in _open_files() if os.fstat(fd).st_nlink > 0 and os.path.stat.S_ISREG(os.fstat(fd).st_mode)]


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "denied")


def _denied(attempt: Any) -> bool:
    try:
        attempt()
    except (OSError, ValueError):
        return True
    return False
