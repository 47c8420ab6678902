"""PDQ, computed from the definition (Meta, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
algorithm", 2019).

The luma of a picture is smoothed twice along each axis by a box filter, decimated to 64 x 64, and a 16 x 16 corner of
its DCT (without the constant terms) is cut at its median into 256 bits. All of this but the cut is linear, so the
canonical squash to 512 x 512 that comes first, the smoothing and the decimation are one banded matrix an axis here,
applied to the decoded picture in the same pass that makes the model inputs: 0.6 ms where `pdqhash.compute` takes 4.3
ms for 512 x 512, and the squash before it as much again. The tests hold it to pdqhash, bit by bit, on real photos.

Why a squash, and to 512: hashed at its own size, one photo at 12 MP and at 0.5 MP differs by 5.8 bits on average and
12 at most; squashed first, by 0.8 and 4. On labelled pairs every size from 64 to 1024 separates equally well (PDQ
smooths to 64 anyway); 512 is what the ports of the reference hasher use, so hashes stay comparable with other people's.
"""

from __future__ import annotations

import numpy as np

from deepdupe_daemon.model import F32Array, PdqHash
from deepdupe_daemon.vision.decode.axis import Band, F64Array, resize_band

__all__ = ["BUFFER_PX", "CANONICAL_PX", "VARIANTS", "hash_buffer", "sampling_band"]

CANONICAL_PX = 512
BUFFER_PX = 64
#: reference hasher: window of the box filter = ceil(size / 128), applied twice
_WINDOW_DIVISOR = 128

#: What each entry of `pdq_variants` is the hash of: the upright picture after this. Turns are counter-clockwise, as
#: numpy.rot90 and pdqhash.compute_dihedral count them; the last two are the transpositions.
VARIANTS = (
    "upright",
    "rotated 90",
    "rotated 180",
    "rotated 270",
    "flipped upside down",
    "mirrored",
    "transposed",
    "transversed",
)


def _box(size: int) -> F64Array:
    """The running mean of the reference hasher as a matrix; at the edges it averages over what is there."""
    window = -(-size // _WINDOW_DIVISOR)
    ahead = (window + 2) // 2
    at = np.arange(size)
    low, high = np.maximum(at - (window - ahead), 0), np.minimum(at + ahead - 1, size - 1)
    inside = (at[None, :] >= low[:, None]) & (at[None, :] <= high[:, None])
    mean: F64Array = inside / inside.sum(axis=1, keepdims=True)
    return mean


def _samplings() -> F64Array:
    """(128, 512): smooth twice and decimate; even lines for the flipped picture, odd lines for the upright one."""
    box = _box(CANONICAL_PX)
    picked = ((np.arange(BUFFER_PX) + 0.5) * CANONICAL_PX / BUFFER_PX).astype(np.int64)
    upright = box[picked] @ box
    both = np.empty((2 * BUFFER_PX, CANONICAL_PX))
    both[0::2], both[1::2] = upright[::-1, ::-1], upright
    return both


_SAMPLINGS = _samplings()


def sampling_band(lines_in: int, extent: float) -> Band:
    """Squash `extent` lines to 512, smooth, decimate to 64: what either axis of a picture goes through.

    The reference's window is even and its decimation is off centre, so that a mirrored picture is sampled 3 of 512
    pixels away: deriving its hash from the upright one's DCT, as `pdqhash.compute_dihedral` does, is wrong by 22 bits
    of 256 on average and by 34 for a half turn. So both samplings are taken, alternating: even lines are what the
    reference would sample in the flipped picture, odd lines what it samples in this one.
    """
    squash = resize_band(lines_in, extent, CANONICAL_PX, "bilinear")
    used = _SAMPLINGS > 0
    first, last = used.argmax(axis=1), CANONICAL_PX - 1 - used[:, ::-1].argmax(axis=1)
    start = squash.start[first]
    taps_in = squash.weights.shape[1]
    weights = np.zeros((len(_SAMPLINGS), int((squash.start[last] - start).max()) + taps_in))
    line = np.arange(len(_SAMPLINGS))
    for step in range(int((last - first).max()) + 1):
        at = np.minimum(first + step, last)
        share = np.where(first + step <= last, _SAMPLINGS[line, at], 0.0)
        weights[line[:, None], (squash.start[at] - start)[:, None] + np.arange(taps_in)] += (
            share[:, None] * squash.weights[at]
        )
    return Band(lines_in, start, weights)


def _dct() -> F64Array:
    """Rows 1 to 16 of the 64-point DCT-II, scaled as the reference hasher scales it."""
    row, column = np.arange(1, 17)[:, None], np.arange(BUFFER_PX)[None, :]
    matrix: F64Array = np.sqrt(2.0 / BUFFER_PX) * np.cos(np.pi / 2 / BUFFER_PX * row * (2 * column + 1))
    return matrix


_DCT = _dct()


def hash_buffer(buffer: F32Array) -> tuple[PdqHash, tuple[bytes, ...]]:
    """The hash of a picture and of its 8 dihedral variants, in the order of VARIANTS.

    `buffer`: (128, 128) luma, sampled by `sampling_band` along both axes. Each variant is the hash that the turned or
    flipped picture itself would get.
    """
    upright = buffer[1::2, 1::2]
    upside_down = buffer[0::2, 1::2][::-1]
    mirrored = buffer[1::2, 0::2][:, ::-1]
    half_turn = buffer[0::2, 0::2][::-1, ::-1]
    forms = np.stack((upright, upside_down, mirrored, half_turn)).astype(np.float64)
    waves = _DCT @ forms @ _DCT.T
    turned = waves.transpose(0, 2, 1)
    cut = _cut(np.stack((waves[0], turned[2], waves[3], turned[1], waves[1], waves[2], turned[0], turned[3])))
    return PdqHash(bits=cut[0], quality=_quality(upright)), cut


def _cut(waves: F64Array) -> tuple[bytes, ...]:
    """(n, 16, 16) to n hashes."""
    # the reference's median of 256 is the lower of the two in the middle; its text form begins with the last bit
    values = waves.reshape(len(waves), -1)
    median = np.partition(values, 127, axis=1)[:, 127:128]
    return tuple(row.tobytes() for row in np.packbits(values[:, ::-1] > median, axis=1))


def _quality(buffer: F32Array) -> int:
    """0 to 100: the sum of whole-percent steps between neighbours, divided by 90, as the reference hasher has it."""
    percent = buffer * np.float32(100 / 255)
    down = np.trunc(np.abs(percent[1:] - percent[:-1])).sum()
    across = np.trunc(np.abs(percent[:, 1:] - percent[:, :-1])).sum()
    return min(100, int((down + across) / 90))
