"""Memory for the rows of an index: up to a budget from the system, beyond it from a file that the kernel may page out.

Chroma is no way out when memory is short: its graph holds 4.6 to 5.1 KB a row of 1,024 in memory where a float16 row
takes 2 KB, and it misses duplicates. Rows in a file stay exact; what does not fit is read from the disk at its speed.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["BlockMemory"]


class BlockMemory:
    """Gives blocks out and counts them. Owned by the thread that owns the index, shared by all its spaces."""

    def __init__(self, budget_bytes: int | None = None, folder: Path | None = None) -> None:
        """Blocks beyond `budget_bytes` lie in nameless files in `folder` (the system's temporary one by default)."""
        self._budget_bytes = budget_bytes
        self._folder = folder
        self.held_bytes = 0
        self.filed_bytes = 0

    def block(self, rows: int, dim: int) -> npt.NDArray[np.float16]:
        """(rows, dim) float16 with any values. Raises MemoryError, or OSError where the disk has no room either."""
        size = rows * dim * 2
        if self._budget_bytes is None or self.held_bytes + size <= self._budget_bytes:
            block = np.empty((rows, dim), dtype=np.float16)
            self.held_bytes += size
            return block
        with tempfile.TemporaryFile(prefix="deepdupe-rows-", dir=self._folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # room now, or an error now: never a SIGBUS when it is written
            mapped = mmap.mmap(file.fileno(), size)
        self.filed_bytes += size
        return np.frombuffer(mapped, dtype=np.float16).reshape(rows, dim)

    def give_back(self, block: npt.NDArray[np.float16]) -> None:
        """The block is not used any more."""
        if block.base is None:
            self.held_bytes -= block.nbytes
        else:
            self.filed_bytes -= block.nbytes
