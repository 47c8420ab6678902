"""Whether every stage moves: what the watchdog's ping stands for."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.clock import Clock

__all__ = ["Hung", "Vital", "Vitals", "stack_of"]

#: a longer gap between two looks was a pause of the whole process (SIGSTOP, a suspended machine) and no stage's fault
_LONGEST_STEP_S = 10.0


@dataclass(frozen=True, slots=True)
class Vital:
    """One stage at one moment. `progress` differs from one look to the next whenever the stage has moved."""

    stage: str
    thread: str  # the beginning of the names of its threads
    busy: bool  # it has something to do
    progress: Hashable
    patience_s: float  # how long a step may take


@dataclass(frozen=True, slots=True)
class Hung:
    """A stage that has work and has not moved for `since_s` seconds."""

    vital: Vital
    since_s: float


class Vitals:
    """Compares each look with the one before. Owned by the supervising thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked_s: float | None = None
        self._still_s: dict[str, tuple[Hashable, float]] = {}

    def look(self, vitals: Sequence[Vital]) -> Hung | None:
        """The first stage of `vitals` that hangs, or None. Give them from the end of the pipeline to its beginning: a
        stage that hangs holds up those before it, and the cause shall be named."""
        now_s = self._clock.monotonic_s()
        step_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, _LONGEST_STEP_S)
        self._looked_s = now_s
        hung: Hung | None = None
        still: dict[str, tuple[Hashable, float]] = {}
        for vital in vitals:
            before, since_s = self._still_s.get(vital.stage, (vital.progress, 0.0))
            since_s = since_s + step_s if vital.busy and vital.progress == before else 0.0
            still[vital.stage] = vital.progress, since_s
            if hung is None and since_s > vital.patience_s:
                hung = Hung(vital, since_s)
        self._still_s = still
        return hung


def stack_of(thread: str) -> str:
    """Where the threads whose names begin with `thread` are just now; "" where there is none."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
    named = [each for each in threading.enumerate() if each.name.startswith(thread) and each.ident in frames]
    return "\n".join(
        f"{each.name}:\n" + "".join(traceback.format_stack(frames[each.ident]))
        for each in named
        if each.ident is not None
    )
