"""One-dimensional antialiased resizing, written as short stretches of a matrix.

Along one axis every separable resize is `out = W @ in` with a banded W. A stretch of `STRIDE_PX` input lines touches
only some output lines, so W is kept as one small dense block a stretch: the product of a block with its lines is a
matrix product that BLAS does at full speed, and lines have to be converted to float only once, whatever wants them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from deepdupe_daemon.model import F32Array

__all__ = ["LUMA", "STRIDE_PX", "Axis", "AxisMemo", "Band", "Block", "resize_band"]

F64Array = npt.NDArray[np.float64]

#: lines that are converted and multiplied together; measured best of 8 to 96 from 0.06 to 3 MP
STRIDE_PX = 16

_DENSE_PX = 128 * STRIDE_PX

#: Rec. 601 luma, as PDQ and Pillow's "L"
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Block:
    """What input lines `in_start:in_stop` add to output lines `out_start:out_stop`.

    `weights` is (out, in) for rows, and (in * channels, out * channels) for columns.
    """

    in_start: int
    in_stop: int
    out_start: int
    out_stop: int
    weights: F32Array


@dataclass(frozen=True, slots=True)
class Axis:
    """A resize to `lines_out` lines; one block a stretch of input lines, in their order, None where none is
    needed.

    `reach`: first and one past the last input line that is needed.
    """

    lines_out: int
    blocks: tuple[Block | None, ...]
    reach: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Of the weights."""
        return sum(block.weights.nbytes for block in self.blocks if block is not None)


@dataclass(frozen=True, slots=True)
class Band:
    """The rows of a banded matrix: `weights[i]` (taps) begin at input line `start[i]`; `start` never falls."""

    lines_in: int
    start: npt.NDArray[np.int64]
    weights: F64Array

    def rows(self) -> Axis:
        """As the operator from the left, on the rows of a picture; stretches of STRIDE_PX, whatever the scale."""
        return self._axis(STRIDE_PX)

    def columns(self, channels: int, *, luma: bool = False) -> Axis:
        """As the operator from the right, on rows of `channels` interleaved values; `luma` folds three into one."""
        axis = self._axis(self._column_stride(1 if luma else channels))
        return Axis(axis.lines_out, tuple(_spread(block, channels, luma=luma) for block in axis.blocks), axis.reach)

    def _column_stride(self, made: int) -> int:
        """Measured: few wide blocks for one channel; for three, whose blocks are two thirds zeros, narrower ones."""
        if made == 1:
            return 4 * STRIDE_PX
        return 2 * STRIDE_PX if self.lines_in > 4 * len(self.start) else STRIDE_PX

    def _axis(self, stride: int) -> Axis:
        count, taps = self.weights.shape
        begin = np.arange(0, self.lines_in, stride)
        low = np.searchsorted(self.start + taps, begin, side="right").tolist()
        high = np.searchsorted(self.start, begin + stride, side="left").tolist()
        blocks: list[Block | None] = []
        for at, first, last in zip(begin.tolist(), low, high, strict=True):
            if at % _DENSE_PX == 0:
                dense = self._dense(at)
            end = min(at + stride, self.lines_in)
            part = dense[first:last, at % _DENSE_PX : at % _DENSE_PX + end - at]
            blocks.append(Block(at, end, first, last, part.astype(np.float32)) if last > first else None)
        used = [block for block in blocks if block is not None]
        return Axis(count, tuple(blocks), (used[0].in_start, used[-1].in_stop))

    def _dense(self, begin: int) -> F64Array:
        """The matrix for input lines from `begin` on, _DENSE_PX of them at the most: in pieces, for sides of any
        length.
        """
        count, taps = self.weights.shape
        lines = min(_DENSE_PX, self.lines_in - begin)
        column = self.start[:, None] + np.arange(taps) - begin
        inside = (column >= 0) & (column < lines)
        piece = np.zeros((count, lines + 1))
        np.put_along_axis(piece, np.where(inside, column, lines), self.weights, axis=1)
        return piece


def _spread(block: Block | None, channels: int, *, luma: bool) -> Block | None:
    if block is None:
        return None
    turned = block.weights.T
    lines_in, lines_out = turned.shape
    if luma and channels == 3:
        weights = (turned[:, None, :] * LUMA[None, :, None]).reshape(lines_in * 3, lines_out)
    elif channels == 1:
        weights = np.ascontiguousarray(turned)
    else:
        spread = np.zeros((lines_in, channels, lines_out, channels), np.float32)
        for channel in range(channels):
            spread[:, channel, :, channel] = turned
        weights = spread.reshape(lines_in * channels, lines_out * channels)
    return Block(block.in_start, block.in_stop, block.out_start, block.out_stop, weights)


def _cubic(x: F64Array) -> F64Array:
    # Keys' kernel with a = -0.5, as Pillow's and torch's antialiased bicubic
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _triangle(x: F64Array) -> F64Array:
    return np.maximum(1.0 - np.abs(x), 0.0)


_KERNELS: dict[str, tuple[Callable[[F64Array], F64Array], float]] = {
    "bicubic": (_cubic, 2.0),
    "bilinear": (_triangle, 1.0),
}


def resize_band(
    lines_in: int,
    extent: float,
    lines_out: int,
    kernel: Literal["bicubic", "bilinear"],
    first: int = 0,
    count: int | None = None,
) -> Band:
    """The antialiased resize of `extent` lines to `lines_out`, of which `count` from `first` on are wanted.

    A scaled decode has ceil(extent) lines, the last of them partly beyond the picture: `lines_in` says how many there
    are. The kernel is widened by the scale when it shrinks, and cut and normalised at the edges, as Pillow and torch
    do.
    """
    shape, support = _KERNELS[kernel]
    count = lines_out if count is None else count
    scale = extent / lines_out
    width = max(scale, 1.0)
    centre = (first + np.arange(count) + 0.5) * scale
    start = np.clip((centre - support * width + 0.5).astype(np.int64), 0, lines_in - 1)
    stop = np.clip((centre + support * width + 0.5).astype(np.int64), start + 1, lines_in)
    at = start[:, None] + np.arange(int((stop - start).max()))
    weights = shape((at - centre[:, None] + 0.5) / width)
    weights[at >= stop[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return Band(lines_in, start, weights)


class AxisMemo:
    """The axes of recent sizes: a folder holds few sizes, and building an axis takes a millisecond.

    Owned by one decoder; holds no more than `budget_bytes`.
    """

    def __init__(self, budget_bytes: int = 16 * 1024 * 1024) -> None:
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._axes: OrderedDict[Hashable, Axis] = OrderedDict()

    def get(self, key: Hashable, build: Callable[[], Axis]) -> Axis:
        """The axis of `key`, built where it is not held."""
        axis = self._axes.get(key)
        if axis is None:
            axis = self._axes[key] = build()
            self._held_bytes += axis.nbytes
            while self._held_bytes > self._budget_bytes:
                _, dropped = self._axes.popitem(last=False)
                self._held_bytes -= dropped.nbytes
        else:
            self._axes.move_to_end(key)
        return axis
