"""Registration: where the pixels of one picture lie in the other, to a twentieth of a pixel.

Gauss-Newton on luma, coarse to fine, with robust weights (Baker & Matthews, "Lucas-Kanade 20 Years On", 2004, with the
gain and offset of the tone solved along). A text page is mostly white: only pixels on edges take part, otherwise the
noise
level that the weights rest on would be that of the paper and every letter an outlier.
"""

from __future__ import annotations

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.affine import IDENTITY, Affine
from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["detail_likeness", "gradients", "luma", "register", "warped"]

#: longer sides of the pyramid: 0.05 px at 512 is 0.1 px at 1,024, which the tile comparison takes for noise
_LEVELS_PX = (96, 256, 512)
_MAX_SAMPLES = 8_000
_STEPS = 8
_TONE_BINS = 24
_DETAIL_PX = 128
_DETAIL_LEVELS = 1.0
#: the refinement may move a point by this share of the half side at most: the start is nearly right, or wrong
#: altogether
_MAX_DRIFT = 0.06
#: which of Affine's six numbers move: with `AXES` (resampling of one framing) neither turn nor shear
_AXES = (0, 2, 4, 5)
_ALL = (0, 1, 2, 3, 4, 5)


def luma(picture: U8Array) -> F32Array:
    """(height, width) float32, 0 to 255, ITU-R BT.601 weights."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)


def gradients(plane: F32Array) -> tuple[F32Array, F32Array]:
    """Derivatives per pixel, horizontal and vertical."""
    return (
        np.asarray(cv2.Sobel(plane, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)),
        np.asarray(cv2.Sobel(plane, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)),
    )


def warped(source: U8Array, affine: Affine, size: tuple[int, int]) -> U8Array:
    """`source` as the target of `size` (height, width) frames it; beyond its rim the rim goes on."""
    shrink = affine.shrink(source.shape[:2], size)
    if shrink > 1.2:  # sampling below the source's own resolution would alias
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.5 * float(np.sqrt(shrink**2 - 1))))
    return np.asarray(
        cv2.warpAffine(
            source,
            affine.pixels(source.shape[:2], size),
            (size[1], size[0]),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def register(
    source: F32Array,
    target: F32Array,
    start: Affine = IDENTITY,
    *,
    turning: bool = False,
    inside: U8Array | None = None,
) -> Affine:
    """Where `target` lies in `source` (luma planes of any sizes), from a start that is nearly right.

    `turning` lets rotation and shear move too; `inside` (target's size, 0 or 255) says which of its pixels `source`
    shows.
    """
    found = np.array(start.numbers())
    before = None
    for side_px in _LEVELS_PX:
        scale = min(1.0, side_px / max(target.shape))
        size = (max(8, round(target.shape[1] * scale)), max(8, round(target.shape[0] * scale)))
        if size == before:
            break
        before = size
        small_target = _small(target, size)
        small_source = _small_source(source, Affine(*found), size)
        mask = None if inside is None else cv2.resize(inside, size, interpolation=cv2.INTER_AREA)
        at = _edge_pixels(small_target, mask)
        if len(at[0]) < 50:
            break
        toned = _curved(small_source, small_target, found)
        if start != Affine(*found):  # a page of small print means nothing at 96 px, and leads astray there
            unmoved = _curved(small_source, small_target, np.array(start.numbers()))
            if _misfit(unmoved, small_target, at, np.array(start.numbers())) < _misfit(toned, small_target, at, found):
                found, toned = np.array(start.numbers()), unmoved
        found = _refined(toned, small_target, at, found, np.array(start.numbers()), _ALL if turning else _AXES)
    return Affine(*(float(value) for value in found))


def detail_likeness(source: F32Array, target: F32Array, affine: Affine) -> float:
    """Correlation of what is finer than a sixteenth of two aligned luma planes, at 128 px: near 1 for copies.

    1 as well where either has no such detail: a gradient has nothing that could disagree.
    """
    scale = min(1.0, _DETAIL_PX / max(target.shape))
    size = (max(8, round(target.shape[1] * scale)), max(8, round(target.shape[0] * scale)))
    shrink = max(1.0, affine.shrink(source.shape, (size[1], size[0])))
    wide = (max(8, round(source.shape[1] / shrink)), max(8, round(source.shape[0] / shrink)))
    view = _view(cv2.resize(source, wide, interpolation=cv2.INTER_AREA), np.array(affine.numbers()), size[::-1])
    planes = [view, cv2.resize(target, size, interpolation=cv2.INTER_AREA)]
    fine = [(plane - cv2.GaussianBlur(plane, (0, 0), _DETAIL_PX / 32))[3:-3, 3:-3] for plane in planes]
    norms = [float(np.linalg.norm(plane)) for plane in fine]
    if min(norms) < _DETAIL_LEVELS * np.sqrt(fine[0].size):
        return 1.0
    return float((fine[0] * fine[1]).sum()) / (norms[0] * norms[1])


def _small(plane: F32Array, size: tuple[int, int]) -> F32Array:
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), np.float32)


def _small_source(source: F32Array, affine: Affine, size: tuple[int, int]) -> F32Array:
    """`source` at the resolution at which the target of `size` (width, height) sees it."""
    shrink = max(1.0, affine.shrink(source.shape, (size[1], size[0])))
    return _small(source, (max(8, round(source.shape[1] / shrink)), max(8, round(source.shape[0] / shrink))))


def _view(source: F32Array, numbers: np.ndarray, shape: tuple[int, ...]) -> F32Array:
    matrix = Affine(*numbers).pixels(source.shape, shape)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(source, matrix, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.float32)


def _edge_pixels(plane: F32Array, mask: U8Array | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the stronger edges, thinned to a bounded number."""
    dx, dy = gradients(plane)
    strength = dx * dx + dy * dy
    if mask is not None:
        strength[cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=255) < 255] = 0
    inner = strength[3:-3, 3:-3]
    seen = inner[inner > 0]
    if len(seen) == 0:
        return np.empty(0, int), np.empty(0, int)
    rows, columns = np.nonzero(inner > max(0.5, float(np.quantile(seen, 0.6))))
    step = max(1, len(rows) // _MAX_SAMPLES)
    return rows[::step] + 3, columns[::step] + 3


def _curved(source: F32Array, target: F32Array, numbers: np.ndarray) -> F32Array:
    """`source` in roughly the tone of `target`: a gamma moves the middle of an edge, and would pass for a shift."""
    view = _view(source, numbers, target.shape)
    bins = np.clip(view.ravel() / 256 * _TONE_BINS, 0, _TONE_BINS - 1).astype(np.intp)
    dx, dy = gradients(view)
    flat = 1 / (1 + (dx * dx + dy * dy).ravel() / 30)
    deviation = (target - view).ravel()
    centres = (np.arange(_TONE_BINS) + 0.5) * 256 / _TONE_BINS
    total = np.bincount(bins, flat, _TONE_BINS)
    overall = float(np.average(deviation, weights=flat))
    mean = (np.bincount(bins, flat * deviation, _TONE_BINS) + overall) / (total + 1)
    levels = np.arange(256.0)
    curve = np.maximum.accumulate(levels + np.interp(levels, centres, mean)).astype(np.float32)
    low = np.clip(source, 0, 254).astype(np.intp)
    return np.asarray(curve[low] + (source - low) * (curve[low + 1] - curve[low]), np.float32)


def _misfit(source: F32Array, target: F32Array, at: tuple[np.ndarray, np.ndarray], numbers: np.ndarray) -> float:
    """Mean residual at the edges, in levels, each counted up to 30."""
    residual = np.abs(_view(source, numbers, target.shape)[at] - target[at])
    return float(np.minimum(residual, 30).mean())


def _refined(
    source: F32Array,
    target: F32Array,
    at: tuple[np.ndarray, np.ndarray],
    now: np.ndarray,
    start: np.ndarray,
    free: tuple[int, ...],
) -> np.ndarray:
    height, width = target.shape
    rows, columns = at
    x, y = (columns + 0.5) / width * 2 - 1, (rows + 0.5) / height * 2 - 1
    wanted = target[at].astype(np.float64)
    ones = np.ones(len(wanted))
    weights = ones
    best, best_cost, scale = now, np.inf, 0.0
    # The slopes are per target pixel, the numbers in halves of the source's sides.
    to_source = np.linalg.inv(Affine(*now).pixels(source.shape, target.shape)[:, :2].astype(np.float64))
    for _ in range(_STEPS):
        view = _view(source, now, target.shape)
        dx, dy = gradients(view)
        seen = view[at].astype(np.float64)
        tone = np.stack([seen, ones], axis=1)
        gain = np.linalg.lstsq(tone * weights[:, None], wanted * weights, rcond=None)[0]
        residual = np.abs(wanted - tone @ gain)
        scale = scale or 1.4826 * float(np.median(residual)) + 1.0
        cost = float(np.mean(np.log1p((residual / (2 * scale)) ** 2)))
        if cost >= best_cost * 0.9999:
            break
        best, best_cost = now, cost
        weights = 1 / (1 + (residual / (2 * scale)) ** 2)
        slopes = np.stack([dx[at], dy[at]], axis=1) @ to_source
        slope_x, slope_y = slopes[:, 0] * (source.shape[1] / 2), slopes[:, 1] * (source.shape[0] / 2)
        columns_of = (slope_x * x, slope_x * y, slope_x, slope_y * x, slope_y * y, slope_y)
        jacobian = np.stack([*(columns_of[i] for i in free), seen, ones], axis=1)
        weighted = jacobian * weights[:, None]
        normal = weighted.T @ jacobian
        normal += np.diag(1e-4 * np.diag(normal) + 1e-9)
        solved = np.linalg.solve(normal, weighted.T @ wanted)
        if abs(solved[-2]) < 0.05:  # no common structure at all
            break
        step = np.clip(solved[: len(free)] / solved[-2], -4 / max(width, height), 4 / max(width, height))
        if float(np.max(np.abs(step))) * max(width, height) / 2 < 0.01:
            break
        now = now.copy()
        now[list(free)] += step
        now = np.clip(now, start - _MAX_DRIFT, start + _MAX_DRIFT)
    return best
