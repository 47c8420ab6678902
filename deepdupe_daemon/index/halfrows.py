"""Rows in float16, read back as float32 unit rows fast enough to search them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.index.blockmemory import BlockMemory
from deepdupe_daemon.index.places import I64Array
from deepdupe_daemon.model import F32Array

__all__ = ["F16Array", "F64Array", "HalfRows", "to_half", "unit_rows", "widen"]

F16Array = npt.NDArray[np.float16]
F64Array = npt.NDArray[np.float64]

BLOCK_BYTES = 8 << 20
# IEEE 754 binary16 -> binary32 by moving the bits: sign-extend, shift exponent and mantissa to their places, mask the
# copies of the sign away; what remains is the value x 2^-112, subnormals included (infinities become 65,536).
# 30 ms per 100,000 x 1,024 where numpy's own cast takes 172.
_MOVED_BITS = np.int32(-0x70002000)  # 0x8FFFE000: bit 31 and bits 27 to 13
_EXPONENT_GAP = np.float32(2.0**112)


def widen(half: F16Array, into: npt.NDArray[np.int32]) -> F32Array:
    """Finite `half` (n, dim) as float32, exactly, in the first n rows of the scratch `into`, which the result views."""
    bits = into[: len(half)]
    np.copyto(bits, half.view(np.int16))
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _MOVED_BITS, out=bits)
    wide = bits.view(np.float32)
    wide *= _EXPONENT_GAP
    return wide


def to_half(rows: npt.NDArray[np.floating], dim: int) -> tuple[F16Array, F64Array]:
    """Unit rows (n, dim) as float16, and the (n,) norms that they have after that rounding.

    The rounding is that of the ledger, so a row from there and the same row fresh from the model are the same bits.
    Raises ValueError for another shape and for rows that are not of about unit length.
    """
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise ValueError(f"rows of shape {rows.shape} given to a space of dimension {dim}")
    with np.errstate(over="ignore"):
        half: F16Array = np.ascontiguousarray(rows, dtype=np.float16)
    norms = np.empty(len(half), dtype=np.float64)
    step = max(1, (1 << 20) // dim)
    scratch = np.empty((min(step, len(half)), dim), dtype=np.int32)
    for start in range(0, len(half), step):
        wide = widen(half[start : start + step], scratch)
        np.square(wide, out=wide)  # exact: twice the 11 bits of mantissa fit float32's 24
        norms[start : start + step] = np.sqrt(wide.sum(axis=1, dtype=np.float64))
    if not ((norms > 0.5) & (norms < 2.0)).all():  # a row with an infinity or NaN has a norm >= 65,536 here
        raise ValueError("a row is zero, not finite or not of unit length")
    return half, norms


class HalfRows:
    """A growing matrix of float16 rows in blocks of 8 MiB: growth copies nothing. Owned by one thread."""

    def __init__(self, dim: int, memory: BlockMemory | None = None) -> None:
        self.dim = dim
        self._memory = memory if memory is not None else BlockMemory()
        self.block_rows = max(64, BLOCK_BYTES // (2 * dim))
        self._blocks: list[F16Array] = []
        self._norms: F64Array = np.empty(0, dtype=np.float64)

    def reserve(self, rows: int) -> None:
        """Make room for rows 0..rows-1."""
        while len(self._blocks) * self.block_rows < rows:
            self._blocks.append(self._memory.block(self.block_rows, self.dim))
        if rows > len(self._norms):
            grown = np.ones(max(rows, 2 * len(self._norms), 1024), dtype=np.float64)
            grown[: len(self._norms)] = self._norms
            self._norms = grown

    def write(self, at: I64Array, half: F16Array, norms: F64Array) -> None:
        """Put `half[k]` at row `at[k]`; a row named twice keeps the later value. Room must have been reserved."""
        self._norms[at] = norms
        k = 0
        while k < len(at):
            block, offset = divmod(int(at[k]), self.block_rows)
            run = min(len(at) - k, self.block_rows - offset)
            breaks = np.flatnonzero(np.diff(at[k : k + run]) != 1)
            run = int(breaks[0]) + 1 if len(breaks) else run
            self._blocks[block][offset : offset + run] = half[k : k + run]
            k += run

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        block, offset = divmod(target, self.block_rows)
        self._blocks[block][offset] = self._blocks[source // self.block_rows][source % self.block_rows]
        self._norms[target] = self._norms[source]

    def release(self, rows: int) -> None:
        """Give memory back after removals: keep the blocks of rows 0..rows-1 and one spare."""
        while len(self._blocks) > -(-rows // self.block_rows) + 1:
            self._memory.give_back(self._blocks.pop())

    def close(self) -> None:
        """Give all memory back."""
        while self._blocks:
            self._memory.give_back(self._blocks.pop())

    def piece(self, start: int, stop: int) -> F16Array:
        """Rows start..stop-1, cut short at the end of the block that holds `start`: a view."""
        block, offset = divmod(start, self.block_rows)
        return self._blocks[block][offset : min(self.block_rows, offset + stop - start)]

    def gather(self, at: I64Array) -> F16Array:
        """The rows with the numbers `at`, (k, dim): a copy."""
        out = np.empty((len(at), self.dim), dtype=np.float16)
        block_of = at // self.block_rows
        for block in np.unique(block_of):
            mine = block_of == block
            out[mine] = self._blocks[block][at[mine] % self.block_rows]
        return out

    def norms(self, start: int, stop: int) -> F64Array:
        return self._norms[start:stop]

    def norms_at(self, at: I64Array) -> F64Array:
        return self._norms[at]

    def unit(self, start: int, stop: int) -> F32Array:
        """Rows start..stop-1 as float32 of unit length, (n, dim): a copy. What a scorer loads onto its device."""
        out = np.empty((stop - start, self.dim), dtype=np.float32)
        done = start
        while done < stop:
            half = self.piece(done, stop)
            wide = widen(half, out[done - start : done - start + len(half)].view(np.int32))
            wide /= self._norms[done : done + len(half), None].astype(np.float32)
            done += len(half)
        return out

    def memory_bytes(self) -> int:
        return sum(block.nbytes for block in self._blocks) + self._norms.nbytes


def unit_rows(half: F16Array) -> F32Array:
    """float16 rows (n, dim) as float32 rows of unit length: what a collection stores."""
    wide = half.astype(np.float32)
    wide /= np.sqrt(np.square(wide).sum(axis=1, dtype=np.float64, keepdims=True)).astype(np.float32)
    return wide
