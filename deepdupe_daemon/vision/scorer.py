"""The first pass of exact recall on the models' device: rough products that say how rough they are. Imports torch.

It has the shape that the exact index asks of a scorer. Whatever it returns is scored again from the float16 rows, so
the search stays exact; being rough costs a few more rows to look at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.model import F32Array
from deepdupe_daemon.vision.devices import pick_device, translating_memory_errors

__all__ = ["TorchScorer", "TorchShelf", "UnitRows", "choose_scorer"]

I64Array = npt.NDArray[np.int64]

_BLOCK_BYTES = 128 << 20  # growth allocates a block and copies nothing
_SCRATCH_BYTES = 64 << 20
_LOAD_ROWS = 8192  # widened at a time on the way to the device: 32 MiB at 1,024 dimensions

#: unit roundoff, 2^-p for p bits of significand
_ROUNDOFF = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}


class UnitRows(Protocol):
    """The float16 rows of a space, as the index holds them."""

    dim: int

    def unit(self, start: int, stop: int) -> F32Array:
        """Rows start..stop-1 as (n, dim) float32 of unit length."""
        ...


class TorchScorer:
    """Shelves in `dtype` on `device`. Stateless; a shelf belongs to the thread that owns the index."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._dtype = dtype

    def shelf(self, rows: UnitRows) -> TorchShelf:
        return TorchShelf(rows, self._device, self._dtype)

    def describe(self) -> str:
        return f"{str(self._dtype).removeprefix('torch.')} on {self._device}"


class TorchShelf:
    """One space's rows in blocks on a device."""

    def __init__(self, rows: UnitRows, device: torch.device, dtype: torch.dtype) -> None:
        self._rows = rows
        self._device = device
        self._dtype = dtype
        self._per_block = max(1024, _BLOCK_BYTES // (rows.dim * dtype.itemsize))
        self._blocks: list[Tensor] = []
        roundoff = _ROUNDOFF[dtype]
        # |rough - true| <= 2u + u^2 for the rounding of both unit rows (Cauchy-Schwarz), u for that of the result, and
        # dim * 2^-24 for the sum in float32 (Higham 2002, section 3.1); half's subnormals add sqrt(dim) * 2^-24
        self.margin = 3 * roundoff + roundoff**2 + (rows.dim + 2 * math.sqrt(rows.dim)) * 2.0**-24
        self._slack = roundoff  # a floor is rounded to dtype too, and may not be rounded up

    def block_rows(self, queries: int) -> int:
        """Rows that one call should cover, so that the products stay below 64 MiB."""
        return max(1024, _SCRATCH_BYTES // (max(1, queries) * self._dtype.itemsize))

    def changed(self, start: int, stop: int) -> None:
        """Read rows start..stop-1 again. Raises MemoryError where the device has no room for them."""
        with translating_memory_errors(), torch.inference_mode():
            while len(self._blocks) * self._per_block < stop:
                shape = (self._per_block, self._rows.dim)
                self._blocks.append(torch.empty(shape, dtype=self._dtype, device=self._device))
            for block, at, begin, end in self._pieces(start, stop, _LOAD_ROWS):
                block[at : at + end - begin] = torch.from_numpy(self._rows.unit(begin, end)).to(self._device)

    def at_least(self, queries: F32Array, floors: F32Array, start: int, stop: int) -> tuple[I64Array, I64Array]:
        """Every (query number, row number) with row in start..stop-1 and rough score >= floors[query] - margin."""
        with translating_memory_errors(), torch.inference_mode():
            wanted = torch.from_numpy(np.ascontiguousarray(queries)).to(self._device, self._dtype)
            lowest = torch.from_numpy(floors - np.float32(self.margin + self._slack)).to(self._device, self._dtype)
            found = []
            for block, at, begin, end in self._pieces(start, stop, self._per_block):
                scores = wanted @ block[at : at + end - begin].T
                hits = torch.nonzero(scores >= lowest[:, None])
                if len(hits):
                    found.append((hits + torch.tensor([0, begin], device=self._device)).cpu().numpy())
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        pairs = np.concatenate(found)
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    def memory_bytes(self) -> int:
        return sum(block.nbytes for block in self._blocks)

    def describe(self) -> str:
        return f"{str(self._dtype).removeprefix('torch.')} on {self._device}"

    def _pieces(self, start: int, stop: int, most: int) -> Iterator[tuple[Tensor, int, int, int]]:
        """(block, offset in it, first row, row after the last) over rows start..stop-1, at most `most` rows each."""
        while start < stop:
            number, offset = divmod(start, self._per_block)
            end = min(stop, start + most, (number + 1) * self._per_block)
            yield self._blocks[number], offset, start, end
            start = end


def choose_scorer(device: str, clock: Clock, *, dim: int = 1024) -> TorchScorer | None:
    """The fastest scorer here: float16 on CUDA; on a processor bfloat16 where a timed product says so, else None.

    None means that the index's own float32 products on the host serve as well: a copy in bfloat16 is worth its memory
    only where the processor multiplies it faster. `device` is a model's device setting. Raises ModelError.
    """
    place = pick_device(device)
    if place.type == "cuda":
        # sums of half products in half would break the margin
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        return TorchScorer(place, torch.float16)
    with torch.inference_mode():
        rows, queries = torch.rand((8192, dim)), torch.rand((64, dim))
        exact_s = _seconds(queries, rows, clock)
        half_s = _seconds(queries.bfloat16(), rows.bfloat16(), clock)
    return TorchScorer(place, torch.bfloat16) if half_s * 1.5 < exact_s else None


def _seconds(queries: Tensor, rows: Tensor, clock: Clock) -> float:
    """The best of three products, after one that warms up."""
    times = []
    for _ in range(4):
        started_s = clock.monotonic_s()
        queries @ rows.T
        times.append(clock.monotonic_s() - started_s)
    return min(times[1:])
