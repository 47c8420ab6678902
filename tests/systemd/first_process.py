"""The sandbox's own process 1, and the one that watches over it: each ends with the one before it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import traceback
from typing import NoReturn

from tests.systemd.cgroups import Made, hierarchies
from tests.systemd.kernel import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUTS,
    REC,
    SHARED,
    call,
    drop_capability,
    mount,
    put,
    set_death_signal,
)
from tests.systemd.masked import DROPPED_CAPABILITIES, UNSET
from tests.systemd.private_root import NAME, NotIsolated, Plan, build_root, check_isolation, mask, own_generators

__all__ = ["INIT", "enter", "inner_environment", "keep"]

INIT = "/lib/systemd/systemd"
_LOG_BYTES = 1 << 20
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def keep(
    parent: int, plan: Plan, cgroups: Made, terminal: tuple[int, int], log: int, devices: dict[str, int], token: str,
    say: int, hear: int,
) -> NoReturn:  # fmt: skip
    """The outer process: makes process 1, keeps its console, and ends it when told (SIGTERM) or when `parent` ends."""
    set_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    init = 0

    def end(*_: object) -> None:
        if init:
            os.kill(init, signal.SIGKILL)
        else:
            os._exit(1)

    for number in _ENDING:
        signal.signal(number, end if number == signal.SIGTERM else signal.SIG_IGN)
    # SIGRTMIN+4 asks systemd for poweroff.target
    signal.signal(signal.SIGUSR1, lambda *_: os.kill(init, signal.SIGRTMIN + 4))
    master, slave = terminal
    for fd in {int(each) for each in os.listdir("/proc/self/fd")} - {0, 1, 2, master, slave, log, say, hear}:
        with contextlib.suppress(OSError):
            os.close(fd)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    try:
        call("unshare", NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET)
    except OSError as error:
        os.write(say, f"error {error}\n".encode())
        os._exit(1)
    init = os.fork()
    if not init:
        set_death_signal(signal.SIGKILL)
        os.close(master)
        _become_init(plan, cgroups, slave, devices, token, say, hear)
    os.write(say, b"pid %d\n" % init)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for fd in (say, hear, 2):  # not the slave: without any, reading the master fails
        os.close(fd)
    gone = os.pidfd_open(init)
    while True:
        ready = select.select([master, gone], [], [])[0]
        if master in ready:
            data = os.read(master, 65536)
            if os.lseek(log, 0, os.SEEK_END) < _LOG_BYTES:
                os.write(log, data)
        elif gone in ready:
            os.waitpid(init, 0)
            os._exit(0)


def _become_init(
    plan: Plan, cgroups: Made, console: int, devices: dict[str, int], token: str, say: int, hear: int
) -> NoReturn:
    """In the child that is process 1 of the new pid namespace: executes systemd, or says why not and ends."""
    try:
        os.setsid()
        for _, _, path in cgroups:
            put(f"{path}/cgroup.procs", "0")
        call("unshare", NEWCGROUP)
        os.umask(0o022)
        build_root(plan, cgroups, console)
        marks = check_isolation(plan, devices, token)
        os.write(say, f"marks {' '.join(marks)}\n".encode())
        if os.read(hear, 2) != b"go":
            os._exit(1)
        for mark in marks:
            os.unlink(mark)
        mount(None, "/", REC | SHARED, source="none")  # as any manager does: credentials need it
        for number in DROPPED_CAPABILITIES.values():
            drop_capability(number)
        for number in range(1, signal.NSIG):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        mask(own_generators())
        for fd in (0, 1, 2):
            os.dup2(console, fd)
        os.set_inheritable(say, False)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"PATH": path, "container": NAME, "LANG": "C.UTF-8", "TERM": "dumb"}
        os.execve(INIT, [INIT, "--system", "--unit=multi-user.target", "--show-status=true"], environment)
    except BaseException as error:  # noqa: BLE001 - told through the pipe; this process ends in any case
        text = str(error) if isinstance(error, NotIsolated | OSError) else traceback.format_exc()
        os.write(say, ("error " + text.strip().replace("\n", "\r")).encode()[:4000] + b"\n")
    finally:
        os._exit(1)


def inner_environment() -> dict[str, str]:
    """The environment of a command inside: without what belongs to the session outside."""
    return {**{name: value for name, value in os.environ.items() if name not in UNSET}, "container": NAME}


def enter(init: int, cwd: str) -> None:
    """In a child: move into the namespaces and cgroups of the sandbox's process 1. Returns in a grandchild."""
    fds = [
        os.open(f"/proc/{init}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        for name in ("cgroup", "ipc", "uts", "net", "pid", "mnt")
    ]
    for fd, name in zip(fds[-2:], ("pid", "mnt"), strict=True):
        assert not os.path.samestat(os.fstat(fd), os.stat(f"/proc/self/ns/{name}")), "these are our own"
    for _, _, path in hierarchies(init):
        with contextlib.suppress(OSError):
            put(f"{path}/cgroup.procs", "0")
    for fd in fds:
        call("setns", fd, 0)
    middle = os.getpid()
    child = os.fork()  # setns moves children into the pid namespace, not us
    if child:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, lambda received, _: os.kill(child, received))
        os.closerange(3, 4096)  # whoever started us waits for these
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number != signal.SIGKILL:
                signal.signal(number, signal.SIG_DFL)
            os.kill(middle, number)
        os._exit(os.WEXITSTATUS(status))
    set_death_signal(signal.SIGKILL)
    for number in DROPPED_CAPABILITIES.values():
        drop_capability(number)
    os.chdir(cwd)
