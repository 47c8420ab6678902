"""What a process and its children cost, from /proc. Linux only, like the service."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["PeakMemory", "cpu_s", "family"]

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """`pid` and all its descendants that are alive."""
    members, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        members.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return members


def cpu_s(pid: int) -> float:
    """User and system seconds of the whole family so far, those of children that have ended included."""
    ticks = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS_PER_S


def memory_bytes(pid: int) -> int:
    """Proportional set size of one process: shared pages count once over all that share them."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


class PeakMemory:
    """Samples a family's memory until it is left: the peak of the sum, and of its largest child."""

    def __init__(self, pid: int, *, every_s: float = 0.1) -> None:
        self.pid = pid
        self.sum_bytes = 0
        self.own_bytes = 0
        self.largest_child_bytes = 0
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            members = family(self.pid)
            own = memory_bytes(self.pid)
            children = [memory_bytes(member) for member in members if member != self.pid]
            self.own_bytes = max(self.own_bytes, own)
            self.sum_bytes = max(self.sum_bytes, own + sum(children))
            self.largest_child_bytes = max(self.largest_child_bytes, *children, 0)


def now_s() -> float:
    return time.monotonic()
