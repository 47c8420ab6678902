"""The pool of decoding workers: files in, sightings out, whatever the files are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.config import DecoderConfig
from deepdupe_daemon.model import Comparison, FileKey, InputSpec, Sighting, U8Array
from deepdupe_daemon.vision.attendant import Attendant
from deepdupe_daemon.vision.backlog import Backlog, Urgency
from deepdupe_daemon.vision.request import (
    Claim,
    CompareRequest,
    CopyRequest,
    PixelRequest,
    RenderRequest,
    SeeRequest,
    StepTimes,
    TimeRequest,
)
from deepdupe_daemon.vision.worker_process import WorkerProcess

__all__ = ["DecoderPool", "PoolStatus"]

#: an idle daemon lets all its workers go but one
_IDLE_S = 60.0
_MAX_FILE_BYTES = 2 * 1024**3
#: of the time allowed for stopping, what is left to the last file of each worker; the rest is for ending them
_DRAIN_SHARE = 0.8
_KILL_S = 2.0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """What the pool is doing: numbers of now, counts since the start.

    `workers`: processes that run now, of `size` at the most. `restarts`: workers that died or were killed over a file,
    `crashed` + `late`. `trouble`: why no worker can be started, "" while all is well. `protections`: what each worker
    has given up (`landlock`, `seccomp`, ...), as far as this kernel lets it.
    """

    workers: int
    size: int
    busy: int
    queued: int
    done: int
    restarts: int
    crashed: int
    late: int
    recycled: int
    memory_peak_bytes: int  # the most that any one worker has held
    trouble: str
    protections: tuple[str, ...]


class DecoderPool:
    """One thread and one process a worker. Every method may be called from any thread.

    Futures are completed in the pool's threads, where `claim` is called too: between reading a file and decoding it.
    Errors of a file come as FileFailed (NotAnImage where it is none) with the kinds of `decode.refusal.Kind`, and
    `no-worker` where none can be started; futures not begun when the pool stops are cancelled.
    """

    def __init__(
        self,
        settings: DecoderConfig,
        specs: Sequence[InputSpec],
        *,
        clock: Clock,
        claim: Claim,
        max_file_bytes: int = _MAX_FILE_BYTES,
        idle_s: float = _IDLE_S,
    ) -> None:
        self._settings = settings
        self._specs = tuple(dict.fromkeys(specs))
        self._clock = clock
        self._claim = claim
        self._max_file_bytes = max_file_bytes
        self._backlog = Backlog()
        size = settings.workers or len(os.sched_getaffinity(0))
        self._attendants = [
            Attendant(
                self._backlog,
                self._start_worker,
                clock,
                number=number,
                keeps=number == 0,
                idle_s=idle_s,
                recycle_after=settings.recycle_after,
            )
            for number in range(size)
        ]

    def start(self) -> None:
        """Start the threads and one worker; returns at once. More workers start when there is work for them."""
        for attendant in self._attendants:
            attendant.start()

    def stop(self, timeout_s: float) -> None:
        """Cancel what is not begun, let what is begun finish within most of `timeout_s`, and end every worker."""
        for task in self._backlog.close():
            task.future.cancel()
        give_up_s = self._clock.monotonic_s() + _DRAIN_SHARE * timeout_s
        late = [a for a in self._attendants if not a.join(give_up_s - self._clock.monotonic_s())]
        for attendant in late:
            attendant.kill()
        for attendant in late:
            attendant.join(_KILL_S)

    def see(self, file_id: int, key: FileKey, *, live: bool) -> Future[Sighting | None]:
        """Read, hash and, where `claim(file_id, key, digest)` wants it, decode. None where it does not.

        The file must still be the one that `key` says, before and after (else FileFailed `changed`).
        """
        request = SeeRequest(
            file_id,
            key,
            specs=self._specs,
            claim=self._claim,
            timeout_s=self._settings.timeout_s,
            clock=self._clock,
        )
        return self._backlog.put(Urgency.LIVE if live else Urgency.BACKFILL, request)

    def time(self, key: FileKey) -> Future[tuple[Sighting, StepTimes]]:
        """`see`, always decoded, with the seconds that each step took in the worker: for benchmarks."""
        request = TimeRequest(key, specs=self._specs, timeout_s=self._settings.timeout_s, clock=self._clock)
        return self._backlog.put(Urgency.BACKFILL, request)

    def pixel_digest(self, path: bytes, digest: bytes) -> Future[bytes]:
        """SHA-256 of the picture's full-size upright pixels, see `decode.digest`.

        FileFailed `changed` where the file's bytes do not have the SHA-256 `digest`.
        """
        request = PixelRequest(path, digest, timeout_s=self._settings.timeout_s, clock=self._clock)
        return self._backlog.put(Urgency.PROOF, request)

    def copy(self, key: FileKey, digest: bytes, name: str, seed: int, *, side_px: int) -> Future[Sighting]:
        """Sighting of the copy `name` of a file's picture (`vision.copies`), made in memory at `side_px` at the most.

        FileFailed `changed` where the file is no longer the one that `key` says, or has other bytes than `digest`.
        """
        request = CopyRequest(
            key,
            digest,
            name,
            seed,
            side_px=side_px,
            specs=self._specs,
            timeout_s=self._settings.timeout_s,
            clock=self._clock,
        )
        return self._backlog.put(Urgency.BACKFILL, request)

    def compare(
        self,
        a: tuple[bytes, bytes],
        b: tuple[bytes, bytes],
        compare: Callable[..., Comparison],
        side_px: int,
    ) -> Future[Comparison]:
        """`compare(a, b, a_facts=..., b_facts=...)` in a worker, on two pictures given as (path, SHA-256 of the bytes).

        The pictures are (h, w, 3) uint8, upright, sRGB, longer side `side_px` at the most; the facts are dicts of
        ImageFacts. `compare` is a top-level function of an importable module. FileFailed names the file that failed
        (`changed` where its bytes have another digest); `uncompared` where `compare` itself raised.
        """
        request = CompareRequest(a, b, compare, side_px=side_px, timeout_s=self._settings.timeout_s, clock=self._clock)
        return self._backlog.put(Urgency.PROOF, request)

    def render(
        self,
        files: Sequence[tuple[bytes, bytes]],
        call: Callable[..., U8Array],
        side_px: int,
        *,
        arguments: Mapping[str, Any] | None = None,
        kind: Literal["JPEG", "PNG"] = "JPEG",
        quality: int = 82,
    ) -> Future[bytes]:
        """The picture that `call(*pictures, **arguments)` makes in a worker, encoded: for people to look at.

        `files`: one or two, as (path, SHA-256 of the bytes); the pictures are as in `compare`. `call` is a top-level
        function of an importable module and gives (h, w, 3) uint8; `arguments` are JSON. FileFailed as in `compare`.
        """
        request = RenderRequest(
            files,
            call,
            side_px=side_px,
            arguments=arguments or {},
            kind=kind,
            options={"quality": quality} if kind == "JPEG" else {},
            timeout_s=self._settings.timeout_s,
            clock=self._clock,
        )
        return self._backlog.put(Urgency.LIVE, request)

    def status(self) -> PoolStatus:
        looks = [attendant.look() for attendant in self._attendants]
        tallies = [attendant.tally for attendant in self._attendants]
        crashed, late = sum(t.crashed for t in tallies), sum(t.late for t in tallies)
        return PoolStatus(
            workers=sum(running for running, _ in looks),
            size=len(self._attendants),
            busy=sum(attendant.busy for attendant in self._attendants),
            queued=len(self._backlog),
            done=sum(t.done for t in tallies),
            restarts=crashed + late,
            crashed=crashed,
            late=late,
            recycled=sum(t.recycled for t in tallies),
            memory_peak_bytes=max((peak for _, peak in looks), default=0),
            trouble=next((a.trouble for a in self._attendants if a.trouble), ""),
            protections=next((a.protections for a in self._attendants if a.protections), ()),
        )

    def _start_worker(self) -> WorkerProcess:
        return WorkerProcess.start(self._settings, self._specs, max_bytes=self._max_file_bytes)
