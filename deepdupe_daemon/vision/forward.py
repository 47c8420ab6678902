"""The forward thread: the one owner of the models and their devices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import DeepDupeError, FileFailed, ModelError, ModelUnavailable
from deepdupe_daemon.model import F32Array, SpaceKey
from deepdupe_daemon.vision.batches import BatchRunner, Outcome
from deepdupe_daemon.vision.embedder import Embedder, VisionNotice
from deepdupe_daemon.vision.pace import Pace
from deepdupe_daemon.vision.waiting import Job, Waiting

__all__ = ["EmbedderStatus", "ForwardStatus", "ForwardThread"]

Done = list[tuple[Job, dict[str, F32Array] | Exception]]


@dataclass(frozen=True, slots=True)
class EmbedderStatus:
    """One resident model, for `status`."""

    description: str
    spaces: tuple[str, ...]
    batch_ceiling: int  # as learned
    configured_ceiling: int


@dataclass(frozen=True, slots=True)
class ForwardStatus:
    """A snapshot for `status` and for the liveness ping: `batches` moves while there is work."""

    state: Literal["new", "loading", "ready", "failed", "stopped"]
    waiting_live: int
    waiting_backfill: int
    in_flight: int
    done: int
    failed: int
    batches: int
    busy_since_s: float | None  # monotonic, when the batch in flight was taken; None while idle
    embedders: tuple[EmbedderStatus, ...]
    error: str | None


class ForwardThread:
    """Embeds jobs in greedy batches: what waits when the device falls free is the next batch; there is no timer, unless
    `linger_s` has an idle device wait for a batch to fill: for models that are faster than jobs are handed over.

    `embedders` may be a call that loads them; it runs in the forward thread, so that `start` returns at once and the
    thread that loads a model owns it. Every embedder sees the same batch, as large as the smallest learned ceiling,
    and of a backfill no larger than takes `patience_s`, so that an arrival waits no longer.
    `on_done` is called in the forward thread with a batch's jobs in order; a job's Exception is a `FileFailed` (kinds
    `embedding`, `not-finite`). `on_ready` is called there once, before the first batch, with every space; what it
    raises (a SpaceMismatch, say) ends the thread. `on_failed` is called there when the thread ends otherwise than by
    `stop`: the jobs that it held have no outcome and their files stay pending.
    """

    def __init__(
        self,
        embedders: Sequence[Embedder] | Callable[[], Sequence[Embedder]],
        *,
        clock: Clock,
        on_done: Callable[[Done], None],
        max_waiting: int = 1024,
        patience_s: float = 1.0,
        linger_s: float = 0.0,
        on_ready: Callable[[tuple[SpaceKey, ...]], None] | None = None,
        on_failed: Callable[[DeepDupeError], None] | None = None,
        on_notice: Callable[[VisionNotice], None] | None = None,
    ) -> None:
        self._load = embedders if callable(embedders) else lambda: embedders
        self._clock = clock
        self._on_done = on_done
        self._on_ready = on_ready or (lambda _spaces: None)
        self._on_failed = on_failed or (lambda _error: None)
        self._on_notice = on_notice or (lambda _notice: None)
        self._waiting = Waiting(max_waiting, clock)
        self._linger_s = linger_s
        self._pace = Pace(patience_s)  # the forward thread's own
        self._thread = threading.Thread(target=self._run, name="forward", daemon=True)
        self._settled = threading.Event()  # ready, failed or stopped
        self._lock = threading.Lock()  # over everything below, which the forward thread writes and anyone reads
        self._state: Literal["new", "loading", "ready", "failed", "stopped"] = "new"
        self._error: DeepDupeError | None = None
        self._embedders: tuple[EmbedderStatus, ...] = ()
        self._in_flight = self._done = self._failed = self._batches = 0
        self._busy_since_s: float | None = None
        self._deadline_s: float | None = None

    def start(self) -> None:
        """Begin loading; returns at once."""
        with self._lock:
            self._state = "loading"
        self._thread.start()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the models are resident; False when that takes longer. Raises what loading raised."""
        settled = self._settled.wait(timeout_s)
        with self._lock:
            if self._error is not None:
                raise self._error
            return settled and self._state == "ready"

    def submit(self, job: Job) -> bool:
        """Hand over a job; blocks while `max_waiting` of its lane wait: that is the back-pressure.

        False when the thread is stopping: the job was not taken. Raises what ended the thread, where something did.
        """
        taken = self._waiting.put(job)
        if not taken:
            with self._lock:
                if self._error is not None:
                    raise self._error
        return taken

    def stop(self, timeout_s: float) -> bool:
        """Take no more jobs, drain those that wait until `timeout_s` from now, end. True when the thread has ended.

        Jobs left when time is up have no outcome; their files stay pending. A batch that computes is not interrupted.
        """
        with self._lock:
            self._deadline_s = self._clock.monotonic_s() + timeout_s
        self._waiting.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
            self._waiting.close(discard=True)
        else:
            with self._lock:
                self._state = "stopped"
            self._settled.set()
        return not self._thread.is_alive()

    def status(self) -> ForwardStatus:
        """A consistent snapshot; never waits for the device."""
        live, backfill = self._waiting.counts()
        with self._lock:
            return ForwardStatus(
                state=self._state,
                waiting_live=live,
                waiting_backfill=backfill,
                in_flight=self._in_flight,
                done=self._done,
                failed=self._failed,
                batches=self._batches,
                busy_since_s=self._busy_since_s,
                embedders=self._embedders,
                error=None if self._error is None else str(self._error),
            )

    def _run(self) -> None:
        embedders: Sequence[Embedder] = ()
        try:
            embedders = self._load()
            runners = [BatchRunner(embedder, self._clock, self._on_notice) for embedder in embedders]
            self._refuse_clashes(embedders)
            self._on_ready(tuple(space for embedder in embedders for space in embedder.spaces))
            self._note_ceilings(runners)
            with self._lock:
                self._state = "ready"
            self._settled.set()
            self._serve(runners)
        except Exception as problem:  # noqa: BLE001 - a thread has no caller: whatever it was is handed to `on_failed`
            self._fail(problem)
        else:
            with self._lock:
                self._state = "stopped"
        finally:
            self._waiting.close(discard=True)
            self._settled.set()
            for embedder in embedders:
                embedder.close()

    def _serve(self, runners: list[BatchRunner]) -> None:
        overlaps = any(runner.overlaps for runner in runners)
        flying: _Flight | None = None
        while True:
            limit = min(runner.ceiling.now for runner in runners)
            backfill_limit = self._pace.allowed(limit)
            jobs = []
            if not self._out_of_time():
                jobs = self._waiting.take(limit, backfill_limit, wait=flying is None, linger_s=self._linger_s)
            begun = self._take_off(runners, jobs) if jobs else None
            if flying is not None:
                self._land(flying, runners)
            elif begun is None:
                return  # closed and drained, or out of time
            if overlaps:
                flying = begun
            else:
                flying = None
                if begun is not None:
                    self._land(begun, runners)

    def _take_off(self, runners: list[BatchRunner], jobs: list[Job]) -> _Flight:
        taken_s = self._clock.monotonic_s()
        with self._lock:
            self._in_flight += len(jobs)
            if self._busy_since_s is None:
                self._busy_since_s = taken_s
        return _Flight(jobs, taken_s, [runner.begin(jobs) for runner in runners])

    def _land(self, flight: _Flight, runners: list[BatchRunner]) -> None:
        outcomes = [finish() for finish in flight.finishers]
        self._pace.landed(len(flight.jobs), flight.taken_s, self._clock.monotonic_s())
        merged: Done = [(job, _merged([column[at] for column in outcomes])) for at, job in enumerate(flight.jobs)]
        self._on_done(merged)
        with self._lock:
            self._in_flight -= len(merged)
            self._batches += 1
            failed = sum(isinstance(outcome, Exception) for _, outcome in merged)
            self._failed += failed
            self._done += len(merged) - failed
            self._busy_since_s = self._clock.monotonic_s() if self._in_flight else None
        self._note_ceilings(runners)

    def _out_of_time(self) -> bool:
        with self._lock:
            return self._deadline_s is not None and self._clock.monotonic_s() >= self._deadline_s

    def _note_ceilings(self, runners: list[BatchRunner]) -> None:
        rows = tuple(
            EmbedderStatus(
                description=runner.embedder.describe(),
                spaces=tuple(space.name for space in runner.embedder.spaces),
                batch_ceiling=runner.ceiling.now,
                configured_ceiling=runner.ceiling.configured,
            )
            for runner in runners
        )
        with self._lock:
            self._embedders = rows

    def _refuse_clashes(self, embedders: Sequence[Embedder]) -> None:
        if not embedders:
            raise ModelError("no model is configured", hint="add one under `models`; `pdq` needs no weights")
        names = [space.name for embedder in embedders for space in embedder.spaces]
        for name in names:
            if names.count(name) > 1:
                raise ModelError("two configured models fill the same space", where=name, hint="keep one of them")

    def _fail(self, problem: Exception) -> None:
        error = problem if isinstance(problem, DeepDupeError) else ModelError(f"{type(problem).__name__}: {problem}")
        with self._lock:
            served = self._state == "ready"
        if served and isinstance(error, ModelError) and not error.retryable:
            # what worked until now was not configured wrongly: a device was lost, and a new start may find it again
            error = ModelUnavailable(error.what, where=error.where, hint=error.hint)
        if error is not problem:
            error.__cause__ = problem
        with self._lock:
            self._state = "failed"
            self._error = error
        self._waiting.close(discard=True)
        self._settled.set()
        self._on_failed(error)


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A batch on its way through every embedder."""

    jobs: list[Job]
    taken_s: float
    finishers: list[Callable[[], list[Outcome]]]


def _merged(outcomes: list[Outcome]) -> dict[str, F32Array] | Exception:
    rows: dict[str, F32Array] = {}
    for outcome in outcomes:
        if isinstance(outcome, FileFailed):
            return outcome
        rows.update(outcome)
    return rows
