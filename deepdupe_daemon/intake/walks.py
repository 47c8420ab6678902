"""The walks that wait, run and pause."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator

from deepdupe_daemon.intake.job import WalkJob, WalkReason
from deepdupe_daemon.intake.parts import Parts
from deepdupe_daemon.intake.root import Root

__all__ = ["Walks"]

#: More new directories than this at once and a walk of their root is the shorter way.
_MOST_NEW = 10_000
#: what `next` gives for steps that have ended: no time of the clock
_DONE = float("-inf")

_Steps = Generator[float | None, None, None]


class _Run:
    """Steps that have a place in a queue."""

    __slots__ = ("begun", "job", "queue", "steps")

    def __init__(self, steps: _Steps, queue: deque[_Run], job: WalkJob | None = None) -> None:
        self.steps = steps
        self.queue = queue
        self.job = job
        self.begun = False


class Walks:
    """Runs walks in slices: small errands first, then new directories, then whole roots, one at a time.

    Owned by the lane's thread; times are monotonic seconds.
    """

    def __init__(self, parts: Parts, on_walked: Callable[[WalkJob], None]) -> None:
        self._parts = parts
        self._on_walked = on_walked
        self._errands: deque[_Run] = deque()
        self._new: deque[_Run] = deque()
        self._whole: deque[_Run] = deque()
        self._new_paths: set[bytes] = set()  # of the walks of new directories that have not begun
        self._paused: list[tuple[float, _Run]] = []

    @property
    def idle(self) -> bool:
        return not (self.ready or self._paused)

    @property
    def ready(self) -> bool:
        """Whether there is a slice to run right now."""
        return bool(self._errands or self._new or self._whole)

    @property
    def looking(self) -> bool:
        """Whether new directories wait to be walked: what went from elsewhere may turn up in them."""
        return bool(self._new)

    def waits(self, root: Root) -> bool:
        """Whether a walk of the whole root waits or runs."""
        runs = [*self._whole, *(run for _, run in self._paused)]
        return any(run.job is not None and run.job.whole and run.job.root is root for run in runs)

    def waits_for_loss(self, root: Root) -> bool:
        """Whether such a walk is one for lost events."""
        runs = [*self._whole, *(run for _, run in self._paused)]
        return any(run.job is not None and run.job.reason is WalkReason.LOSS and run.job.root is root for run in runs)

    def next_due_s(self) -> float | None:
        """When a paused walk goes on, or None."""
        return min((due_s for due_s, _ in self._paused), default=None)

    def errand(self, steps: Iterator[float | None]) -> None:
        """Run something small soon, in slices."""
        self._errands.append(_Run(_stoppable(steps), self._errands))

    def root(self, root: Root, reason: WalkReason) -> None:
        """Walk the whole root when its turn comes. One that waits already does for both, and keeps the reason told."""
        for run in self._whole:
            if run.job is not None and run.job.root is root and not run.begun:
                if not reason.told or run.job.reason.told:
                    return
                self._whole.remove(run)
                break
        root.next_walk_s = None
        job = WalkJob(self._parts, root, reason)
        self._whole.append(_Run(self._to_the_end(job), self._whole, job))

    def directory(self, root: Root, path: bytes) -> None:
        """Walk a directory that appeared."""
        above = path
        while above != root.path:
            if above in self._new_paths:
                return  # it will be met on the way
            above = os.path.dirname(above)
        if len(self._new) >= _MOST_NEW:
            self.root(root, WalkReason.NEW)
            return
        job = WalkJob(self._parts, root, WalkReason.NEW, start=path)
        self._new_paths.add(path)
        self._new.append(_Run(_stoppable(job.steps()), self._new, job))

    def step(self, now_s: float) -> bool:
        """Run one slice; says whether there was one to run."""
        for due in [paused for paused in self._paused if paused[0] <= now_s]:
            self._paused.remove(due)
            due[1].queue.appendleft(due[1])
        queue = self._errands or self._new or self._whole
        if not queue:
            return False
        run = queue[0]
        if not run.begun:
            run.begun = True
            if queue is self._new and run.job is not None:
                self._new_paths.discard(run.job.start)
        until_s = next(run.steps, _DONE)
        if until_s is not None:
            queue.popleft()
            if until_s != _DONE:
                self._paused.append((until_s, run))
        return True

    def close(self) -> None:
        """Give up every walk, and the directories that it holds open."""
        for run in [*self._errands, *self._new, *self._whole, *(run for _, run in self._paused)]:
            run.steps.close()

    def _to_the_end(self, job: WalkJob) -> _Steps:
        yield from job.steps()
        self._on_walked(job)


def _stoppable(steps: Iterator[float | None]) -> _Steps:
    yield from steps
