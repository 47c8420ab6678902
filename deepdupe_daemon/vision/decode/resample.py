"""From one decoded picture to every size that is wanted, in one pass over its pixels.

Measured on one idle Zen 5 core, RGB to 224 x 224, bicubic, in ms: 0.5 MP 1.2, 2 MP 3.1, 3 MP 4.1, where Pillow 13 takes
4.2, 13 and 18.5. torch takes 0.5, 1.3 and 2.0, for 480 MB more in every worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.model import F32Array, U8Array
from deepdupe_daemon.vision.decode.axis import STRIDE_PX, Axis

__all__ = ["Plan", "resample", "to_uint8"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One wanted size: how rows and columns shrink. `channels` is that of the result: 1 where `columns` folds to
    luma.
    """

    rows: Axis
    columns: Axis
    channels: int


def resample(pixels: U8Array, plans: Sequence[Plan]) -> list[F32Array]:
    """`pixels` (h, w, c) uint8, c 1 or 3, to one float32 (rows, columns, c) a plan: 0 to 255 with overshoot, not
    rounded.

    Each stretch of rows is converted to float once and multiplied for every plan while it is in the cache.
    """
    height, width, channels = pixels.shape
    reaches = [slice(plan.columns.reach[0] * channels, plan.columns.reach[1] * channels) for plan in plans]
    sums = [
        np.zeros((plan.rows.lines_out, reach.stop - reach.start), np.float32)
        for plan, reach in zip(plans, reaches, strict=True)
    ]
    stretch = np.empty((STRIDE_PX, width * channels), np.float32)
    for number in range(-(-height // STRIDE_PX)):
        begin, end = number * STRIDE_PX, min((number + 1) * STRIDE_PX, height)
        lines: F32Array | None = None
        for plan, total, reach in zip(plans, sums, reaches, strict=True):
            block = plan.rows.blocks[number]
            if block is None:
                continue
            if lines is None:
                lines = stretch[: end - begin]
                np.copyto(lines, pixels[begin:end].reshape(end - begin, -1))
            total[block.out_start : block.out_stop] += block.weights @ lines[:, reach]
    return [_across(total, plan, channels) for plan, total in zip(plans, sums, strict=True)]


def _across(total: F32Array, plan: Plan, channels: int) -> F32Array:
    left, made = plan.columns.reach[0], plan.channels
    out = np.zeros((len(total), plan.columns.lines_out * made), np.float32)
    for block in plan.columns.blocks:
        if block is not None:
            lines = total[:, (block.in_start - left) * channels : (block.in_stop - left) * channels]
            out[:, block.out_start * made : block.out_stop * made] += lines @ block.weights
    return out.reshape(len(total), plan.columns.lines_out, made)


def to_uint8(picture: F32Array) -> U8Array:
    """Rounded and clipped to uint8."""
    rounded = np.rint(picture)
    np.clip(rounded, 0.0, 255.0, out=rounded)
    return rounded.astype(np.uint8)
