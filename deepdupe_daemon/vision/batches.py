"""One batch through one embedder: halving that isolates a bad item and learns what fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import DeepDupeError, FileFailed, ModelError, ModelUnavailable
from deepdupe_daemon.model import F32Array, U8Array
from deepdupe_daemon.vision.embedder import (
    Embedder,
    OutOfDeviceMemory,
    Pending,
    StagedEmbedder,
    VisionNotice,
    input_shape,
)
from deepdupe_daemon.vision.waiting import Job

__all__ = ["BatchRunner", "Ceiling", "Outcome"]

#: space name -> (dim,) row, or why this one image has none
Outcome = dict[str, F32Array] | FileFailed


class Ceiling:
    """The batch size that fits, learned: halved when memory runs out, doubled back after an hour.

    Never above the configured one. Owned by the forward thread.
    """

    def __init__(self, configured: int, clock: Clock, *, probe_after_s: float = 3600.0) -> None:
        if configured < 1:
            raise ValueError("a batch ceiling must be at least 1")
        self.configured = configured
        self._clock = clock
        self._probe_after_s = probe_after_s
        self._now = configured
        self._lowered_at_s = 0.0

    @property
    def now(self) -> int:
        if self._now < self.configured and self._clock.monotonic_s() - self._lowered_at_s >= self._probe_after_s:
            self._now = min(self.configured, self._now * 2)
            self._lowered_at_s = self._clock.monotonic_s()
        return self._now

    def lower(self, failed: int) -> None:
        """A batch of `failed` images did not fit."""
        self._now = max(1, min(self._now, failed // 2))
        self._lowered_at_s = self._clock.monotonic_s()


class BatchRunner:
    """Runs one embedder over batches, so that one bad image never fails its batch. Owned by the forward thread."""

    def __init__(self, embedder: Embedder, clock: Clock, on_notice: Callable[[VisionNotice], None]) -> None:
        self.embedder = embedder
        self.ceiling = Ceiling(embedder.batch_ceiling, clock)
        self._on_notice = on_notice
        self._said_lowered = False

    @property
    def overlaps(self) -> bool:
        """Whether the next batch can be copied while one computes."""
        return isinstance(self.embedder, StagedEmbedder)

    def begin(self, jobs: Sequence[Job]) -> Callable[[], list[Outcome]]:
        """Start `jobs` on the device; the returned call waits and gives one outcome a job, in order.

        That call raises ModelError where the model or its device is broken, not an image: then no job has an outcome.
        """
        size = self.ceiling.now
        chunks = [jobs[at : at + size] for at in range(0, len(jobs), size)]
        if len(chunks) > 1:  # a staged device takes two at a time, and those are this batch and the next
            return lambda: [outcome for chunk in chunks for outcome in self._finish(chunk, self._launch(chunk))]
        launched = self._launch(jobs)
        return lambda: self._finish(jobs, launched)

    def _launch(self, jobs: Sequence[Job]) -> Pending | Exception:
        try:
            rows = [job.inputs[self.embedder.spec] for job in jobs]
            if isinstance(self.embedder, StagedEmbedder):
                return self.embedder.begin(rows)
            return _Computed(self.embedder.embed(np.stack(rows)))
        except Exception as problem:  # noqa: BLE001 - whatever a model raises is isolated to an image or to the model
            return problem.with_traceback(None)  # its frames would keep the device's tensors alive

    def _finish(self, jobs: Sequence[Job], launched: Pending | Exception) -> list[Outcome]:
        if isinstance(launched, Exception):
            problem = launched
        else:
            try:
                rows = launched.rows()
            except Exception as failure:  # noqa: BLE001 - as above
                problem = failure.with_traceback(None)
            else:
                return self._checked(jobs, rows)
        del launched  # before the retry, so that a device gets its memory back
        if isinstance(problem, OutOfDeviceMemory | MemoryError):
            self._learn(len(jobs))
        elif len(jobs) == 1:
            return [self._blame(jobs[0], problem)]
        middle = len(jobs) // 2
        return [*self._again(jobs[:middle]), *self._again(jobs[middle:])]

    def _again(self, jobs: Sequence[Job]) -> list[Outcome]:
        return self._finish(jobs, self._launch(jobs))

    def _learn(self, failed: int) -> None:
        name = self.embedder.describe()
        if failed == 1:
            raise ModelUnavailable(
                "out of memory with a batch of one image",
                where=name,
                hint="free memory on the device, choose a smaller model or input_px, or device: cpu",
            )
        self.ceiling.lower(failed)
        if not self._said_lowered:
            self._said_lowered = True
            self._on_notice(
                VisionNotice(
                    "ceiling-lowered",
                    f"{name}: a batch of {failed} does not fit in memory, continuing with {failed // 2}",
                )
            )

    def _blame(self, job: Job, problem: Exception) -> FileFailed:
        """The image's own failure, unless an empty picture fails too: then it is the model's."""
        spec = self.embedder.spec
        probe = np.zeros((1, *input_shape(spec)), dtype=np.uint8)
        try:
            self.embedder.embed(probe)
        except Exception as broken:
            if isinstance(broken, DeepDupeError):
                raise
            raise ModelError(
                f"the model fails on every input: {type(broken).__name__}: {broken}", where=self.embedder.describe()
            ) from broken
        given = job.inputs.get(spec)
        shape = "no input" if given is None else f"{given.shape} {given.dtype}"
        return FileFailed(
            f"{self.embedder.describe()} failed on it ({shape}): {type(problem).__name__}: {problem}", kind="embedding"
        )

    def _checked(self, jobs: Sequence[Job], rows: dict[str, F32Array]) -> list[Outcome]:
        """`rows` split by job; rows that are not finite are computed again in float32, and never handed out."""
        bad = _not_finite(rows, len(jobs))
        again: dict[int, dict[str, F32Array]] = {}
        for index in np.flatnonzero(bad).tolist():
            picture: U8Array = jobs[index].inputs[self.embedder.spec][None]
            again[index] = self.embedder.embed_in_fp32(picture)
        if again:
            lost = sum(bool(_not_finite(second, 1)[0]) for second in again.values())
            self._on_notice(
                VisionNotice(
                    "not-finite",
                    f"{self.embedder.describe()}: {len(again)} of {len(jobs)} embeddings were not finite, "
                    f"{len(again) - lost} recovered in fp32",
                )
            )
        outcomes: list[Outcome] = []
        for at in range(len(jobs)):
            own = {name: block[at] for name, block in rows.items()}
            if at in again:
                if _not_finite(again[at], 1)[0]:
                    text = f"{self.embedder.describe()} gives no finite embedding, in fp32 neither"
                    outcomes.append(FileFailed(text, kind="not-finite"))
                    continue
                own = {name: block[0] for name, block in again[at].items()}
            outcomes.append(own)
        return outcomes


class _Computed:
    """Rows that are there already, as `Pending`."""

    def __init__(self, rows: dict[str, F32Array]) -> None:
        self._rows = rows

    def rows(self) -> dict[str, F32Array]:
        return self._rows


def _not_finite(rows: dict[str, F32Array], count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    bad = np.zeros(count, dtype=np.bool_)
    for name, block in rows.items():
        if len(block) != count:
            raise ModelError(f"{len(block)} rows for {count} images", where=name)
        bad |= ~np.isfinite(block).all(axis=1)
    return bad
