"""One thread of the pool and the worker that it owns: takes tasks, carries them out, replaces workers that die."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, InvalidStateError
from dataclasses import dataclass
from typing import Any

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import DeepDupeError, FileFailed
from deepdupe_daemon.vision.backlog import Backlog, Task
from deepdupe_daemon.vision.decode.refusal import Kind
from deepdupe_daemon.vision.opened import failure
from deepdupe_daemon.vision.worker_process import WorkerDied, WorkerLate, WorkerProcess

__all__ = ["Attendant", "Tally"]

#: a worker is tried once more on a file that another died of: the fault may have been an earlier file's
_TRIES = 2
_START_TRIES = 3
_START_PAUSE_S = 0.5


@dataclass
class Tally:
    """Counts since the start, of one attendant; written by its thread, read by any."""

    done: int = 0
    crashed: int = 0
    late: int = 0
    recycled: int = 0
    memory_peak_bytes: int = 0


class Attendant:
    """`keeps`: start the worker at once and never let it go for want of work."""

    def __init__(
        self,
        backlog: Backlog,
        start_worker: Callable[[], WorkerProcess],
        clock: Clock,
        *,
        number: int,
        keeps: bool,
        idle_s: float,
        recycle_after: int,
    ) -> None:
        self._backlog = backlog
        self._start_worker = start_worker
        self._clock = clock
        self._keeps = keeps
        self._idle_s = idle_s
        self._recycle_after = recycle_after
        self._worker: WorkerProcess | None = None
        self._lock = threading.Lock()  # over _worker, for kill() and status() from other threads
        self._stopped = threading.Event()
        self._undead: list[WorkerProcess] = []
        self._thread = threading.Thread(target=self._run, name=f"decode-{number}", daemon=True)
        self.tally = Tally()
        self.busy = False
        self.trouble = ""
        self.protections: tuple[str, ...] = ()

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended, waiting at most `timeout_s`."""
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def kill(self) -> None:
        """End the worker under the thread's feet: the task in hand is cancelled. For stopping; any thread."""
        self._stopped.set()
        with self._lock:
            if self._worker is not None:
                self._worker.kill()

    def look(self) -> tuple[bool, int]:
        """Whether a worker runs, and the most memory that it or an earlier one has held, bytes."""
        with self._lock:
            now = self._worker.memory_peak_bytes() if self._worker is not None else 0
            return self._worker is not None, max(now, self.tally.memory_peak_bytes)

    def _run(self) -> None:
        if self._keeps:
            self._hire()
        while not self._backlog.closed:
            warm = self._worker is not None
            task = self._backlog.take(warm=warm, timeout_s=self._idle_s if warm and not self._keeps else None)
            if task is None:
                if not self._keeps:
                    self._dismiss()
                continue
            if not task.future.set_running_or_notify_cancel():
                continue
            self.busy = True
            try:
                self._carry_out(task)
            finally:
                self.busy = False
        self._dismiss()

    def _carry_out(self, task: Task) -> None:
        paths = getattr(task.run, "paths", (b"",))
        for attempt in range(1, _TRIES + 1):
            worker = self._worker or self._hire()
            if worker is None:
                self._settle(task, error=FileFailed(self.trouble, kind="no-worker", retry=True))
                return
            try:
                result = task.run(worker)
            except WorkerDied as death:
                self.tally.crashed += 1
                self._dismiss()
                if self._stopped.is_set():
                    self._settle(task, error=CancelledError())
                    return
                if attempt == _TRIES:
                    text = f"it ended {_TRIES} decoding workers ({death.how})"
                    self._settle(task, error=failure(Kind.CRASHED, text, paths[0]))
                    return
            except WorkerLate:
                self.tally.late += 1
                self._dismiss()
                self._settle(task, error=failure(Kind.TIMEOUT, "it took longer than a file may take", paths[0]))
                return
            except Exception as error:  # noqa: BLE001 - it is the caller's, through the future
                tired = isinstance(error, FileFailed) and error.kind == Kind.OUT_OF_MEMORY
                self._settle(task, error=error)
                self._finish(worker, tired=tired)
                return
            else:
                self._settle(task, result=result)
                self._finish(worker, tired=False)
                return

    @staticmethod
    def _settle(task: Task, *, result: Any = None, error: BaseException | None = None) -> None:
        with contextlib.suppress(InvalidStateError):  # whoever asked may have cancelled it
            if error is not None:
                task.future.set_exception(error)
            else:
                task.future.set_result(result)

    def _finish(self, worker: WorkerProcess, *, tired: bool) -> None:
        self.tally.done += 1
        worker.files += 1
        if tired or worker.files >= self._recycle_after:
            self.tally.recycled += 1
            self._dismiss()

    def _hire(self) -> WorkerProcess | None:
        """Start a worker; None, with the reason in `trouble`, where that fails several times or the pool is stopped."""
        pause_s = _START_PAUSE_S
        for attempt in range(1, _START_TRIES + 1):
            try:
                worker = self._start_worker()
            except (DeepDupeError, OSError) as error:  # OSError: no descriptors, no memory; it may pass
                self.trouble = str(error)
            else:
                self.trouble = ""
                self.protections = worker.protections
                with self._lock:
                    self._worker = worker
                if self._stopped.is_set():
                    worker.kill()
                return worker
            if attempt < _START_TRIES and self._clock.wait(self._stopped, pause_s):
                break
            pause_s *= 2
        return None

    def _dismiss(self) -> None:
        """Kill the worker and reap it, and those that would not die before."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            self.tally.memory_peak_bytes = max(self.tally.memory_peak_bytes, worker.memory_peak_bytes())
            if not worker.end():
                self._undead.append(worker)
        self._undead = [process for process in self._undead if not process.reap(0.0)]
