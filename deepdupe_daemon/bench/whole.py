"""The daemon as a whole over the same pictures: a scan into a state dir of its own, watched from its ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.bench.stage import Room, Stage, StageName, stage_of
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import Config
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.ledger import LEDGER_NAME, Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import Progress, run_scan

__all__ = ["Point", "scan_stage", "span_of"]

_EVERY_S = 0.02
_DONE = (FileState.INDEXED, FileState.FAILED, FileState.IGNORED)


@dataclass(frozen=True, slots=True)
class Point:
    """So many files were done at this moment (monotonic)."""

    at_s: float
    done: int


class _Count(threading.Thread):
    """Looks at the ledger fifty times a second, over a connection of its own that writes nothing."""

    def __init__(self, config: Config, clock: Clock) -> None:
        super().__init__(name="bench-count", daemon=True)
        self._config = config
        self._clock = clock
        self._over = threading.Event()
        self.points: list[Point] = []

    def run(self) -> None:
        while not (self._config.state_dir / LEDGER_NAME).exists():
            if self._clock.wait(self._over, _EVERY_S):
                return
        while not self._clock.wait(self._over, _EVERY_S):
            try:
                with Ledger.open(self._config.state_dir, self._clock, readonly=True) as ledger:
                    self._watch(ledger)
            except StateError:
                continue  # it is being made

    def _watch(self, ledger: Ledger) -> None:
        while True:
            counts = ledger.counts()
            done = sum(counts.get(state, 0) for state in _DONE)
            if not self.points or done != self.points[-1].done:
                self.points.append(Point(self._clock.monotonic_s(), done))
            if self._clock.wait(self._over, _EVERY_S):
                return

    def stop(self) -> None:
        self._over.set()
        self.join()


def span_of(points: Sequence[Point]) -> tuple[int, float]:
    """(files, seconds) from the first moment at which some were done to that at which all were; from the look before
    it where they were done all at once.
    """
    at = next((number for number, point in enumerate(points) if point.done), None)
    if at is None:
        return 0, 0.0
    first, last = points[at], points[-1]
    if first.done == last.done:
        first = points[at - 1] if at else Point(first.at_s - _EVERY_S, 0)
    return last.done - first.done, last.at_s - first.at_s


def scan_stage(config: Config, clock: Clock, on_step: Callable[[int, int], None]) -> Stage | None:
    """Scan `config`'s folders to the end; None where it was stopped before."""

    def show(progress: Progress) -> None:
        on_step(progress.done, progress.total)

    count = _Count(config, clock)
    count.start()
    try:
        result = run_scan(config, on_progress=show, on_record=lambda _record: None, clock=clock)
    finally:
        count.stop()
    if not result.complete:
        return None
    files, took_s = span_of(count.points)
    name: StageName = "whole"
    return stage_of(name, Room.ALL, (), items=files, took_s=took_s)
