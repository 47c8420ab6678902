"""A root that is thrown away: an overlay of the machine's `/`, and the proof that it is one, before anything boots.

A boot without it has once emptied a machine's /tmp: systemd-tmpfiles does that by its own configuration. So nothing is
executed before every mount is known to be ours and marks that were written in every place are seen to be invisible from
outside.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.systemd.cgroups import Made
from tests.systemd.kernel import (
    BIND,
    NODEV,
    NOEXEC,
    NOSUID,
    PRIVATE,
    QUIET,
    RDONLY,
    REC,
    REMOUNT,
    bind,
    call,
    mount,
    put,
)
from tests.systemd.masked import MASKED

__all__ = ["NAME", "PLACES", "NotIsolated", "Plan", "build_root", "check_isolation", "mask", "own_generators"]

NAME = "deepdupe-box"
PLACES = (
    *("/", "/etc", "/etc/systemd/system", "/usr", "/var", "/var/tmp", "/var/log/journal", "/tmp", "/run", "/dev"),
    *("/dev/shm", "/root", "/home", "/opt", "/srv"),
)
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x1 | 0x40
_MNT_DETACH = 2


class NotIsolated(Exception):
    """The root is not one of our own: nothing may be executed in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`readonly`, `writable`: (source outside, target inside). `size`: of each tmpfs, as mount(8) takes it."""

    readonly: Sequence[tuple[str, str]] = ()
    writable: Sequence[tuple[str, str]] = ()
    size: str = "2g"


def build_root(plan: Plan, cgroups: Made, console: int) -> None:
    """Make the private root and move into it; nothing is written before `/` is the overlay."""
    terminal = os.ttyname(console)
    outside = os.stat("/").st_dev
    mount(None, "/", REC | PRIVATE, source="none")  # nothing propagates to the machine
    sources = [source for source, _ in [*plan.readonly, *plan.writable]]
    base = next(
        each
        for each in ("/srv", "/mnt", "/media", "/opt", "/tmp")
        if os.path.isdir(each) and not any(f"{source}/".startswith(f"{each}/") for source in sources)
    )
    mount("tmpfs", base, NODEV, f"mode=0755,size={plan.size}", NAME)
    os.chdir(base)
    for folder in ("upper", "work", "root"):
        os.mkdir(folder)
    mount("overlay", "root", 0, "lowerdir=/,upperdir=upper,workdir=work", NAME)
    os.mkdir("root/.outside")
    call("pivot_root", "root", "root/.outside")
    os.chdir("/")
    if os.stat("/").st_dev == outside:
        raise NotIsolated("/ is not the overlay")
    for path, mode in (
        *(("/run", "0755"), ("/tmp", "1777"), ("/var/tmp", "1777"), ("/etc/systemd/system", "0755")),
        ("/var/log/journal", "2755"),
    ):
        _fresh(path, mode, plan.size)
    os.mkdir("/run/lock")
    _kernel_views(cgroups)
    _devices(terminal, plan.size)
    for path, text in (
        *(("/etc/hostname", f"{NAME}\n"), ("/etc/fstab", ""), ("/etc/.updated", ""), ("/var/.updated", "")),
        ("/etc/machine-id", os.urandom(16).hex() + "\n"),
    ):
        if os.path.lexists(path):
            os.unlink(path)
        put(path, text)
    for path in ("/etc/.updated", "/var/.updated"):  # ConditionNeedsUpdate=: not now
        os.utime(path, (time.time() + 60,) * 2)
    _binds(plan)
    call("umount2", "/.outside", _MNT_DETACH)  # the machine's / is gone
    os.rmdir("/.outside")
    call("sethostname", NAME, len(NAME))
    with socket.socket() as sock:  # lo is up
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING))


def _fresh(path: str, mode: str, size: str) -> None:
    os.makedirs(path, exist_ok=True)
    mount("tmpfs", path, NOSUID | NODEV, f"mode={mode},size={size}", NAME)


def _kernel_views(cgroups: Made) -> None:
    """/proc and /sys, where nothing of the machine's can be set but the network of our own namespace."""
    mount("proc", "/proc", QUIET)
    bind("/proc/sys/net", "/proc/sys/net", readonly=False)  # stays writable below the read-only /proc/sys
    for path in ("sys", "sysrq-trigger", "irq", "bus", "fs"):
        if os.path.exists(f"/proc/{path}"):
            bind(f"/proc/{path}", f"/proc/{path}", readonly=True)
    mount("sysfs", "/sys", QUIET)
    mount(None, "/sys", BIND | REMOUNT | RDONLY | QUIET, source="none")
    top = "/sys/fs/cgroup"
    if all(not controllers for controllers, _, _ in cgroups):
        mount("cgroup2", top, QUIET)
        return
    mount("tmpfs", top, QUIET, "mode=0755,size=64k", NAME)
    for controllers, name, _ in cgroups:
        where = f"{top}/{name if controllers else 'unified'}"
        os.mkdir(where)
        if not controllers:
            mount("cgroup2", where, QUIET)
            continue
        mount("cgroup", where, QUIET, ("none," if "=" in controllers else "") + controllers)
        for alias in controllers.split(",") if "," in controllers else ():
            os.symlink(name, f"{top}/{alias}")
    mount(None, top, BIND | REMOUNT | RDONLY | QUIET, source="none")


def _devices(terminal: str, size: str) -> None:
    os.makedirs("/dev", exist_ok=True)
    mount("tmpfs", "/dev", NOSUID, "mode=0755,size=1m", NAME)
    for node, major, minor in (
        *(("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)),
    ):
        os.mknod(f"/dev/{node}", 0o20666, os.makedev(major, minor))
        os.chmod(f"/dev/{node}", 0o666)
    for link, to in (
        *(("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx")),
    ):
        os.symlink(to, f"/dev/{link}")
    os.mkdir("/dev/pts")
    mount("devpts", "/dev/pts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5")
    _fresh("/dev/shm", "1777", size)
    put("/dev/console", "")
    bind(f"/.outside{terminal}", "/dev/console", readonly=False)


def _binds(plan: Plan) -> None:
    for (source, target), readonly in [(each, True) for each in plan.readonly] + [
        (each, False) for each in plan.writable
    ]:
        outside = f"/.outside{source}"
        if os.path.isdir(outside):
            os.makedirs(target, exist_ok=True)
        elif not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            put(target, "")
        bind(outside, target, readonly=readonly)


def own_generators() -> list[str]:
    folders = [f"{top}/systemd/system-generators" for top in ("/lib", "/usr/local/lib", "/etc")]
    return [each for folder in folders if os.path.isdir(folder) for each in os.listdir(folder)]


def mask(generators: Sequence[str]) -> None:
    """Units and generators of the machine that shall not run, and the line that empties /tmp."""
    for folder, names in (
        ("/run/systemd/system", MASKED),
        ("/run/systemd/system-generators", generators),
        ("/run/tmpfiles.d", ["tmp.conf"]),
    ):
        os.makedirs(folder)
        for name in set(names):
            os.symlink("/dev/null", f"{folder}/{name}")


def check_isolation(plan: Plan, host_devices: dict[str, int], token: str) -> list[str]:
    """Refuse to go on unless every mount is ours; leave marks for the parent to look for, and give their paths."""
    if os.getpid() != 1:
        raise NotIsolated("not process 1 of a pid namespace")
    wanted = {os.path.abspath(target) for _, target in [*plan.readonly, *plan.writable]} | {"/dev/console"}
    ours = {"overlay", "tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "devpts"}
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            fields = left.split()
            if any(each.startswith(("shared:", "master:")) for each in fields[6:]):
                raise NotIsolated(f"mount propagates: {line}")
            if any(fields[4] == each or fields[4].startswith(f"{each}/") for each in wanted):
                continue
            fstype, source = right.split()[:2]
            if fstype not in ours or (source != NAME and fstype in ("overlay", "tmpfs")):
                raise NotIsolated(f"foreign mount in the sandbox: {line}")
    marks: list[str] = []
    for place in PLACES:
        if os.path.isdir(place) and not any(place == each or place.startswith(f"{each}/") for each in wanted):
            if os.stat(place).st_dev == host_devices.get(place):
                raise NotIsolated(f"{place} is on the same file system as outside")
            marks.append(os.path.join(place, f".{NAME}.{token}"))
            put(marks[-1], "")
    return marks
