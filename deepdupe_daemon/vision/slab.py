"""Shared memory between one worker and the daemon: pixels cross it once, with no pickle and no pipe.

The daemon makes it (a sealed memfd: a hijacked worker can scribble in it, but cannot shrink it under the daemon's
feet), both map it, and both know the layout from the input specs alone, so that no offset is ever taken from a worker.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Sequence
from typing import Self

import numpy as np

from deepdupe_daemon.model import InputSpec, U8Array

__all__ = ["Slab", "input_shape"]

_ALIGN_BYTES = 64


def input_shape(spec: InputSpec) -> tuple[int, ...]:
    """The shape of the uint8 array that `spec` asks for."""
    return (32,) if spec.kind == "pdq" else (spec.side_px, spec.side_px, 3)


class Slab:
    """One array a spec, side by side. Each end of it belongs to one thread."""

    def __init__(self, fd: int, specs: Sequence[InputSpec]) -> None:
        """Map `fd`, which stays the caller's."""
        self._shapes = [input_shape(spec) for spec in specs]
        self._offsets, self.size_bytes = _layout(self._shapes)
        self._map = mmap.mmap(fd, self.size_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    @classmethod
    def create(cls, specs: Sequence[InputSpec]) -> tuple[Self, int]:
        """A new slab and its file descriptor, for the worker."""
        fd = os.memfd_create("deepdupe-slab", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            _, size = _layout([input_shape(spec) for spec in specs])
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            return cls(fd, specs), fd
        except BaseException:
            os.close(fd)
            raise

    def write(self, arrays: Sequence[U8Array]) -> None:
        """Put one array a spec, in their order."""
        for array, shape, offset in zip(arrays, self._shapes, self._offsets, strict=True):
            np.copyto(self._view(shape, offset), array)

    def read(self) -> list[U8Array]:
        """A copy of each array, in the order of the specs."""
        return [self._view(shape, offset).copy() for shape, offset in zip(self._shapes, self._offsets, strict=True)]

    def close(self) -> None:
        self._map.close()

    def _view(self, shape: tuple[int, ...], offset: int) -> U8Array:
        return np.frombuffer(self._map, np.uint8, math.prod(shape), offset).reshape(shape)


def _layout(shapes: Sequence[tuple[int, ...]]) -> tuple[list[int], int]:
    offsets, end = [], 0
    for shape in shapes:
        offsets.append(end)
        end += -(-math.prod(shape) // _ALIGN_BYTES) * _ALIGN_BYTES
    return offsets, max(end, mmap.PAGESIZE)
