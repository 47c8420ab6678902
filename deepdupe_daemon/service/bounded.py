"""Warnings in a flood: so many of a kind are said one by one, the rest are counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from deepdupe_daemon.act import Kind, Priority, Record, notice_record
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.service.sinks import Sink

__all__ = ["BoundedSink"]

#: warnings of one kind within a window that are said one by one; a folder of 10,000 broken files would else push a
#: day's records out of a small journal
MOST = 50
WINDOW_S = 60.0


@dataclass(slots=True)
class _Window:
    began_s: float
    said: int = 0
    left_out: int = 0


class BoundedSink:
    """Bounds warnings and errors by their kind. Alerts, and what is critical, always pass. Any thread."""

    def __init__(self, sink: Sink, clock: Clock, *, most: int = MOST, window_s: float = WINDOW_S) -> None:
        self._sink = sink
        self._clock = clock
        self._most = most
        self._window_s = window_s
        self._windows: dict[Kind, _Window] = {}
        self._lock = threading.Lock()

    def emit(self, record: Record) -> None:
        if record.level not in (Priority.ERROR, Priority.WARNING):
            self._sink.emit(record)
            return
        with self._lock:
            before, passes, last = self._count(record.kind)
        if before:
            self._sink.emit(_remark(record.kind, f"{before:,} more were left out", before))
        if passes:
            self._sink.emit(record)
        if last:
            text = f"{self._most:,} within {self._window_s:.0f} s; further ones are counted and not told one by one"
            self._sink.emit(_remark(record.kind, text, 0))

    def _count(self, kind: Kind) -> tuple[int, bool, bool]:
        """How many were left out in the window before, whether this one passes, and whether it is the last one."""
        now_s, before = self._clock.monotonic_s(), 0
        window = self._windows.get(kind)
        if window is None or now_s - window.began_s >= self._window_s:
            before = window.left_out if window is not None else 0
            window = self._windows[kind] = _Window(now_s)
        if window.said >= self._most:
            window.left_out += 1
            return before, False, False
        window.said += 1
        return before, True, window.said == self._most


def _remark(kind: Kind, text: str, left_out: int) -> Record:
    hint = "; `deepdupe-daemon status --failed` lists all of them" if kind is Kind.FILE_FAILED else ""
    return notice_record(
        Kind.NOTICE, f"records of the kind {kind.slug}: {text}{hint}", priority=Priority.WARNING, left_out=left_out
    )
