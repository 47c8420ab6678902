"""A cgroup of the sandbox's own in each hierarchy of the machine."""

from __future__ import annotations

import contextlib
import os
import re
import threading

from deepdupe_daemon.clock import SystemClock
from tests.systemd.kernel import put

__all__ = ["Made", "hierarchies", "make_cgroups", "remove_cgroup"]

#: name for `mount -o` ("" for version 2), basename of the mount point, path
Made = list[tuple[str, str, str]]


def hierarchies(pid: int | str = "self") -> list[tuple[str, str, str]]:
    """Name for `mount -o` ("" for version 2), where it is mounted, folder of the process's cgroup."""
    own: dict[str, str] = {}
    with open(f"/proc/{pid}/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            own[controllers] = path
    found = []
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            root, where = left.split()[3:5]
            fstype, _, options = right.split()[:3]
            if fstype == "cgroup2":
                name: str | None = ""
            elif fstype == "cgroup":
                name = next((c for c in own if c and set(c.split(",")) <= set(options.split(","))), None)
            else:
                continue
            if name is not None and name in own:
                relative = os.path.relpath(own.pop(name), root)
                if not relative.startswith(".."):
                    found.append((name, where, os.path.normpath(f"{where}/{relative}")))
    return found


def make_cgroups(name: str, prefix: str, made: Made) -> None:
    """`made` is filled as we go, because we may be interrupted. What a killed run left behind is removed."""
    found = hierarchies()
    for controllers, where, parent in found:
        if len(found) == 1 and not controllers:  # version 2 alone: controllers come from the top, ours has processes
            with open(f"{where}/cgroup.subtree_control") as file:
                parent = where if file.read().strip() else parent
        for old in os.listdir(parent):
            match = re.match(re.escape(prefix) + r"\.(\d+)\.", old)
            if match and not os.path.exists(f"/proc/{match[1]}"):
                remove_cgroup(f"{parent}/{old}", 0)
        path = f"{parent}/{name}"
        made.append((controllers, os.path.basename(where), path))
        try:
            os.mkdir(path)
            if controllers == "cpuset":
                for key in ("cpuset.cpus", "cpuset.mems"):
                    with open(f"{parent}/{key}") as file:
                        put(f"{path}/{key}", file.read())
        except OSError:  # a read-only hierarchy
            made.pop()
    if not any(controllers in ("", "name=systemd") for controllers, _, _ in made):
        raise OSError("no cgroup v2 or name=systemd hierarchy in which a cgroup can be made")


def remove_cgroup(path: str, patience_s: float = 5.0) -> bool:
    clock, never = SystemClock(), threading.Event()
    end_s = clock.monotonic_s() + patience_s
    while os.path.isdir(path):
        for top, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(top)
        if clock.monotonic_s() > end_s:
            return not os.path.isdir(path)
        if os.path.isdir(path):
            clock.wait(never, 0.01)
    return True
