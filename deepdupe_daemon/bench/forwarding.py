"""One model on its forward thread: how many images a second, and how long a single one takes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from deepdupe_daemon.bench.stage import Room, Stage, stage_of
from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import DeepDupeError
from deepdupe_daemon.model import F32Array, InputSpec, SpaceKey, U8Array
from deepdupe_daemon.vision import Embedder, ForwardThread, Job

__all__ = ["Model"]

#: loading may take as long as the service allows it to
_LOADING_S = 1800.0
_END_S = 120.0
_FEWEST_SINGLES = 4
_MOST_WAITING = 1 << 18  # twice the largest batch that the configuration allows; `_stream` waits by itself


class Model:
    """A model resident on a forward thread of its own until `close`. Owned by the benching thread."""

    def __init__(self, load: Callable[[], Embedder], clock: Clock) -> None:
        """Loads it. Raises ModelError."""
        self._clock = clock
        self._load = load
        self._answers: dict[int, Future[Mapping[str, F32Array]]] = {}
        self._numbers = itertools.count()
        self._streamed = 0
        self._streamed_at_s = 0.0
        self._moved = threading.Condition()
        self.spaces: tuple[SpaceKey, ...] = ()
        self._embedder: Embedder | None = None
        self._thread = ForwardThread(
            self._loaded, clock=clock, on_done=self._done, on_ready=self._ready, max_waiting=_MOST_WAITING
        )
        self._thread.start()
        if not self._thread.wait_ready(_LOADING_S):
            raise DeepDupeError(f"a model does not load within {_LOADING_S:.0f} s")

    @property
    def spec(self) -> InputSpec:
        return self._resident.spec

    @property
    def description(self) -> str:
        return self._resident.describe()

    def embed(self, picture: U8Array) -> Mapping[str, F32Array]:
        """One image alone, as an arrival on an idle machine: space name -> (dim,) float32. Raises FileFailed."""
        number = next(self._numbers)
        answer = self._answers[number] = Future()
        self._thread.submit(Job(number, {self.spec: picture}, live=True))
        return answer.result()

    def measure(self, pictures: Sequence[U8Array], seconds: float) -> tuple[Stage, list[Mapping[str, F32Array]]]:
        """One image after another, then a stream of them, each for `seconds`. The rows are those of the first images,
        of all where the time allows it, and of some in any case.
        """
        rows: list[Mapping[str, F32Array]] = []
        singles_s: list[float] = []
        until_s = self._clock.monotonic_s() + seconds
        for picture in pictures:
            began_s = self._clock.monotonic_s()
            rows.append(self.embed(picture))
            singles_s.append(self._clock.monotonic_s() - began_s)
            if self._clock.monotonic_s() > until_s and len(rows) >= _FEWEST_SINGLES:
                break
        done, took_s = self._stream(pictures, seconds)
        stage = stage_of("forward", Room.FORWARD, singles_s, subject=self.description, items=done, took_s=took_s)
        return stage, rows

    def close(self) -> None:
        self._thread.stop(0.0)  # forgets what waits
        self._thread.stop(_END_S)

    def _stream(self, pictures: Sequence[U8Array], seconds: float) -> tuple[int, float]:
        """(images done, seconds): from the end of the first batch to that of the last, so that only full ones count."""
        ahead = 2 * self._resident.batch_ceiling  # one batch computes while the next one waits
        until_s = self._clock.monotonic_s() + seconds
        first: tuple[int, float] | None = None
        for submitted, picture in enumerate(itertools.cycle(pictures)):
            with self._moved:
                self._moved.wait_for(lambda waits=submitted - ahead: self._streamed > waits)  # type: ignore[misc] # bound now
                if first is None and self._streamed:
                    first = self._streamed, self._streamed_at_s
                if first is not None and self._streamed > first[0] and self._clock.monotonic_s() > until_s:
                    return self._streamed - first[0], self._streamed_at_s - first[1]
            self._thread.submit(Job(-1, {self.spec: picture}, live=False))
        raise AssertionError("a cycle has no end")

    @property
    def _resident(self) -> Embedder:
        assert self._embedder is not None, "set before the thread is ready"
        return self._embedder

    # -- in the forward thread -------------------------------------------------------------------------------------

    def _loaded(self) -> Sequence[Embedder]:
        self._embedder = self._load()
        return (self._embedder,)

    def _ready(self, spaces: tuple[SpaceKey, ...]) -> None:
        self.spaces = spaces

    def _done(self, done: Sequence[tuple[Job, Mapping[str, F32Array] | Exception]]) -> None:
        for job, outcome in done:
            answer = self._answers.pop(job.file_id, None)
            if answer is not None and isinstance(outcome, Exception):
                answer.set_exception(outcome)
            elif answer is not None and not isinstance(outcome, Exception):
                answer.set_result(outcome)
        with self._moved:
            self._streamed += sum(job.file_id < 0 for job, _ in done)
            self._streamed_at_s = self._clock.monotonic_s()
            self._moved.notify_all()
