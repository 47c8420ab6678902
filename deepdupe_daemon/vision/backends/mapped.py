"""Memory maps of weights files: what was copied need not stay in memory."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

__all__ = ["MappedFiles"]


class MappedFiles:
    """Where this process has some files mapped, as the kernel says (/proc/self/maps); owned by one placing.

    A private mapping of 1.2 GB that was read and copied counts as 2.4 GB, until the kernel is told.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        names = {os.path.realpath(file) for file in files}
        self._ranges = [(start, end) for start, end, name in _maps() if name in names]

    def let_go(self, tensor: Tensor) -> None:
        """Take the pages of a tensor that was copied out of this process, where they are such a file's.

        They stay in the page cache and come back when they are read again. For any other memory that would destroy
        what is in it, so that nothing is done there; nor to the pages that it shares with its neighbours.
        """
        if tensor.device.type != "cpu":
            return
        start, size = tensor.data_ptr(), tensor.nbytes
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (start + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first and any(low <= first and last <= high for low, high in self._ranges):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), mmap.MADV_DONTNEED)


def _maps() -> Iterator[tuple[int, int, str]]:
    """(first byte, byte after the last, path) of each private mapping of a file."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.rstrip("\n").split(maxsplit=5)
            if len(fields) == 6 and fields[1].endswith("p") and fields[5].startswith("/"):
                start, _, end = fields[0].partition("-")
                yield int(start, 16), int(end, 16), fields[5]
