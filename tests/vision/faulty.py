"""Embedders that fail in the ways that devices and models do."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from deepdupe_daemon.model import F32Array, U8Array
from deepdupe_daemon.vision import FakeEmbedder, Job
from deepdupe_daemon.vision.embedder import OutOfDeviceMemory, Pending, input_shape

POISON = 251
SICK = 252  # not finite in half precision
DEAD = 253  # not finite in any


class Faulty(FakeEmbedder):
    """First byte POISON raises, SICK and DEAD come out NaN, more than `fits` images are out of memory."""

    def __init__(self, name: str = "fake", *, fits: int = 10_000, batch_ceiling: int = 16, side_px: int = 32) -> None:
        super().__init__(name, batch_ceiling=batch_ceiling, side_px=side_px)
        self.fits = fits
        self.broken = False
        self.sizes: list[int] = []
        self.threads: set[str] = set()
        self.closed = False

    def embed(self, batch: U8Array) -> dict[str, F32Array]:
        self.sizes.append(len(batch))
        self.threads.add(threading.current_thread().name)
        if self.broken:
            raise RuntimeError("device-side assert triggered")
        if len(batch) > self.fits:
            raise OutOfDeviceMemory(f"{len(batch)} images")
        first = batch.reshape(len(batch), -1)[:, 0]
        if (first == POISON).any():
            raise ArithmeticError("poison")
        rows = super().embed(batch)
        for block in rows.values():
            block[(first == SICK) | (first == DEAD), 3] = np.nan
        return rows

    def embed_in_fp32(self, batch: U8Array) -> dict[str, F32Array]:
        rows = super().embed_in_fp32.__func__(FakeEmbedder(side_px=self.spec.side_px), batch)  # type: ignore[attr-defined]
        rows = {space.name: block for space, block in zip(self.spaces, rows.values(), strict=True)}
        for block in rows.values():
            block[batch.reshape(len(batch), -1)[:, 0] == DEAD, 0] = np.inf
        return rows

    def close(self) -> None:
        self.closed = True


class Staged(Faulty):
    """Computes when its rows are asked for, as a device would, and refuses a third batch in flight."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.flying = 0
        self.most_flying = 0

    def begin(self, rows: Sequence[U8Array]) -> Pending:
        batch = np.stack(rows)
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        assert self.flying <= 2
        return _Flying(self, batch)


class _Flying:
    def __init__(self, owner: Staged, batch: U8Array) -> None:
        self._owner = owner
        self._batch = batch

    def rows(self) -> dict[str, F32Array]:
        self._owner.flying -= 1
        return self._owner.embed(self._batch)


def job(file_id: int, *embedders: FakeEmbedder, live: bool = False, first: int | None = None) -> Job:
    """A picture of its own for each spec of `embedders`, `first` as its first byte."""
    built = {}
    for embedder in embedders:
        picture = np.random.default_rng(file_id).integers(0, 240, input_shape(embedder.spec), dtype=np.uint8)
        picture.flat[0] = file_id % 200 if first is None else first
        built[embedder.spec] = picture
    return Job(file_id, built, live)
