"""The feeder thread: from the ledger's pending queue to the decoding workers, a bounded window at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import FileFailed, ModelError
from deepdupe_daemon.ledger import FileRow, Ledger
from deepdupe_daemon.model import F32Array, Sighting
from deepdupe_daemon.service.inbox import Embedded, Failed, Inbox
from deepdupe_daemon.service.meters import Meters
from deepdupe_daemon.service.pulse import Pulse
from deepdupe_daemon.vision import DecoderPool, Job

__all__ = ["Feeder"]

#: how long the feeder sleeps at the most when nothing pokes it
IDLE_S = 30.0


class Feeder:
    """Owns its ledger connection; `run` is the feeder thread. What is in flight is shared under its lock.

    Pending work lives in the ledger, without bound; here at most `window` files are in flight, so that a million
    pending files need no more memory than ten thousand.
    """

    def __init__(
        self,
        *,
        open_ledger: Callable[[], Ledger],
        pool: DecoderPool,
        submit: Callable[[Job], bool],
        inbox: Inbox,
        clock: Clock,
        window: int,
        meters: Meters,
    ) -> None:
        self._open_ledger = open_ledger
        self._pool = pool
        self._submit = submit
        self._inbox = inbox
        self._clock = clock
        self._window = window
        self._meters = meters
        self._wake = threading.Event()
        self._stopping = False
        self._lock = threading.Lock()
        self._in_flight: set[int] = set()
        self._sightings: dict[int, tuple[FileRow, Sighting, float]] = {}
        self.pulse = Pulse()

    def run(self) -> None:
        """Until `stop`."""
        with self._open_ledger() as ledger:
            while not self._stopping:
                self._wake.clear()
                room, held = self._room()
                rows = ledger.take_pending(room, after=held) if room else []
                for row in rows:
                    self.pulse.beat()
                    self._see(row)
                if not rows:
                    self.pulse.rest()
                    self._clock.wait(self._wake, self._idle_s(ledger) if room else IDLE_S)
                    self.pulse.beat()

    def _idle_s(self, ledger: Ledger) -> float:
        """Until the next try of a failed file, `IDLE_S` at the most: the wall clock may be set meanwhile."""
        retry_at_ns = ledger.next_retry_at_ns()
        if retry_at_ns is None:
            return IDLE_S
        return min(max(0.0, (retry_at_ns - self._clock.now_ns()) / 1e9), IDLE_S)

    def poke(self) -> None:
        """There may be pending rows, or room. Any thread."""
        self._wake.set()

    def stop(self) -> None:
        """Feed no more; what is in flight goes on."""
        with self._lock:  # what is not counted as in flight by now is not begun any more
            self._stopping = True
        self._wake.set()

    def settled(self, file_ids: Sequence[int]) -> None:
        """These are no longer in flight. Called by the judging thread."""
        with self._lock:
            self._in_flight.difference_update(file_ids)
        self._wake.set()

    @property
    def in_flight(self) -> int:
        with self._lock:
            return len(self._in_flight)

    def _room(self) -> tuple[int, frozenset[int]]:
        with self._lock:
            return max(0, self._window - len(self._in_flight)), frozenset(self._in_flight)

    def _see(self, row: FileRow) -> None:
        with self._lock:
            if self._stopping:
                return
            self._in_flight.add(row.file_id)
        future = self._pool.see(row.file_id, row.key, live=row.live)
        began_s = self._clock.monotonic_s()
        future.add_done_callback(lambda done: self._seen(row, done, began_s))

    def _seen(self, row: FileRow, done: Future[Sighting | None], began_s: float) -> None:
        """In a thread of the pool, which therefore waits while the forward thread has enough: the back-pressure."""
        try:
            sighting = done.result()
        except FileFailed as failed:
            self._inbox.put(Failed(row.file_id, row.key, row.attempts, failed))
            return
        except CancelledError:
            return  # the service stops; the row stays pending
        now_s = self._clock.monotonic_s()
        self._meters.took("decode", now_s - began_s)
        if sighting is None:
            return  # the bytes are known, or another file of the same bytes is on its way
        with self._lock:
            self._sightings[row.file_id] = row, sighting, now_s
        with contextlib.suppress(ModelError):  # the forward thread has ended, and has said so: the row stays pending
            self._submit(Job(row.file_id, sighting.inputs, row.live))

    def embedded(self, done: Sequence[tuple[Job, dict[str, F32Array] | Exception]]) -> None:
        """A batch has gone through every model. Called in the forward thread."""
        for job, outcome in done:
            with self._lock:
                row, sighting, began_s = self._sightings.pop(job.file_id)
            self._meters.took("forward", self._clock.monotonic_s() - began_s)
            if isinstance(outcome, FileFailed):
                self._inbox.put(Failed(row.file_id, row.key, row.attempts, outcome))
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                self._inbox.put(Embedded(row.file_id, sighting, outcome))
