"""Tile by tile: does what is left after alignment and tone look like compression, or has something changed?

Compression leaves a residual everywhere, and more of it on edges. So the level expected at a tile is fitted to the pair
itself, as a constant plus a share of the local edge energy, from medians that a changed tile cannot move. The most
different
tile, in units of what is expected there, decides; never the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.align import gradients, luma
from deepdupe_daemon.judge.verifier.tone import Prediction
from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["TileMap", "beyond", "half_chroma", "tile_energy", "tile_map"]

#: levels that differ in any two decoders (chroma upsampling, rounding): below this nothing was changed by anybody
_FLOOR = 0.7
_FLOOR_CHROMA = 3.0
_ACTIVITY_BINS = 14


@dataclass(frozen=True, slots=True)
class TileMap:
    """Residuals of an aligned pair on a grid of half the resolution. `unlike` is in units of the expected residual."""

    unlike: F32Array  # luma
    unlike_colour: F32Array  # chroma; zeros where either is grey
    valid: np.ndarray  # bool: where both pictures count
    noise: float  # levels of residual that any place has
    edge_noise: float  # residual per level of edge: 0.04 is usual, 0.25 the strongest compression, 0.4 another exposure
    rms: F32Array  # levels of residual in luma
    structure: F32Array  # levels per pixel of edges in the target
    explained: float  # share of the variance at the target's edges that the prediction accounts for
    contained: float  # the target's detail per unit of the prediction's: 1 where all that the target has is foreseen
    expected: F32Array  # mean square of the residual that is expected in luma; `unlike` is in units of its root
    expected_colour: F32Array  # the same in chroma


def tile_map(prediction: Prediction, target: U8Array, inside: U8Array | None, margin_px: int) -> TileMap:
    """The map of `target` (RGB) against what it should be; `margin_px` from each side and outside `inside` nothing
    counts."""
    target_y = luma(target)
    residual = beyond(target_y, prediction.luma, prediction.bled)
    if prediction.change > 2.5:
        residual = residual * _near_clipping(prediction.luma, target_y)
    energy = tile_energy(residual)
    edges = _edge_energy(prediction.luma)
    valid = _valid(energy.shape, inside, margin_px)
    constant, share = _expected(energy, edges, valid, _FLOOR)
    expected = np.asarray(constant + share * edges + _FLOOR**2, np.float32)
    unlike_colour, expected_colour = _unlike_colour(prediction, target, valid)
    unlike = np.sqrt(energy / expected)
    strength = _edge_energy(target_y)
    return TileMap(
        unlike=np.where(valid, unlike, 0).astype(np.float32),
        unlike_colour=unlike_colour,
        valid=valid,
        noise=float(np.sqrt(constant)),
        edge_noise=float(np.sqrt(share)),
        rms=np.where(valid, np.sqrt(energy), 0).astype(np.float32),
        structure=np.where(valid, np.sqrt(strength), 0).astype(np.float32),
        explained=_explained(energy, target_y, strength, valid),
        contained=_contained(prediction.luma, target_y, strength, valid),
        expected=expected,
        expected_colour=expected_colour,
    )


def _half(plane: F32Array) -> F32Array:
    even = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]  # exact halves take a fifth of the time
    return np.asarray(cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.float32)


def tile_energy(residual: F32Array) -> F32Array:
    """Mean square of the smoothed residual over about 8 x 8 pixels: the height of a small digit, the block of a
    JPEG."""
    smooth = cv2.GaussianBlur(residual, (0, 0), 1.0)
    return np.asarray(cv2.GaussianBlur(_half(smooth * smooth), (0, 0), 1.0), np.float32)


def _edge_energy(plane: F32Array) -> F32Array:
    dx, dy = gradients(np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.0), np.float32))
    # Twice as wide as a tile: what JPEG rings around an edge reaches to the end of its block.
    return np.asarray(cv2.GaussianBlur(_half(dx * dx + dy * dy), (0, 0), 2.0), np.float32)


def _explained(energy: F32Array, target_y: F32Array, strength: F32Array, valid: np.ndarray) -> float:
    """1 - residual / variance, in the middle of the tiles with edges: near 1 for copies, 0 where nothing is
    predicted."""
    edges = valid & (strength > 4.0)
    if int(edges.sum()) < 16:
        return 0.0
    smooth = np.asarray(cv2.GaussianBlur(target_y, (0, 0), 1.0), np.float32)
    around = smooth - np.asarray(cv2.blur(smooth, (15, 15)), np.float32)
    return float(np.median(1 - energy[edges] / (tile_energy(around)[edges] + 1e-3)))


def _contained(expected: F32Array, target_y: F32Array, strength: F32Array, valid: np.ndarray) -> float:
    """Slope of the target's detail on the prediction's, in the middle of the tiles with edges.

    Grain that compression took away leaves it at 1 (measured: 1.03 to 1.09), for nothing is in the target that was not
    in the source; grain of its own, as another shot has, is error in what one regresses on (0.63 to 0.89).
    """
    edges = valid & (strength > 4.0)
    if int(edges.sum()) < 16:
        return 0.0
    planes = []
    for plane in (expected, target_y):
        smooth = np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.0), np.float32)
        planes.append(smooth - np.asarray(cv2.blur(smooth, (15, 15)), np.float32))
    common, own = (cv2.GaussianBlur(_half(planes[0] * other), (0, 0), 3.0) for other in (planes[1], planes[0]))
    return float(np.median(common[edges] / (own[edges] + 1e-3)))


def _near_clipping(expected: F32Array, target: F32Array) -> F32Array:
    """Weights that halve where both pictures are nearly white or nearly black: a changed tone clips before scaling
    mixes."""
    low, high = np.minimum(expected, target), np.maximum(expected, target)
    clipped = np.clip((low - 190) / 40, 0, 1) + np.clip((50 - high) / 30, 0, 1)
    return np.asarray(1 - 0.6 * clipped, np.float32)


def _valid(grid: tuple[int, ...], inside: U8Array | None, margin_px: int) -> np.ndarray:
    valid = np.zeros(grid, bool)
    rim = max(1, (margin_px + 1) // 2)
    valid[rim : grid[0] - rim, rim : grid[1] - rim] = True
    if inside is not None:
        # A JPEG block reaches 8 pixels over the rim of a turned picture, and a smoothing filter two more.
        shrunk = cv2.erode(inside, np.ones((21, 21), np.uint8), borderValue=255)
        valid &= cv2.resize(shrunk, (grid[1], grid[0]), interpolation=cv2.INTER_AREA) >= 255
    return valid


def _expected(energy: F32Array, edges: F32Array, valid: np.ndarray, floor: float) -> tuple[float, float]:
    """(c, s) of energy = c + s * edges through the medians of bins of equal edge strength (logarithmic), both >= 0."""
    some = (slice(None, None, 2), slice(None, None, 2))
    energies, strengths = energy[some][valid[some]], edges[some][valid[some]]
    if len(energies) < 32:
        return 0.0, 0.0
    level = np.log(strengths + 0.25)
    low, high = float(level.min()), float(level.max()) + 1e-6
    where = ((level - low) / (high - low) * _ACTIVITY_BINS).astype(int)
    order = np.argsort(where, kind="stable")
    borders = np.searchsorted(where[order], np.arange(_ACTIVITY_BINS + 1))
    x, y, weight = [], [], []
    for i in range(_ACTIVITY_BINS):
        members = order[borders[i] : borders[i + 1]]
        if len(members) >= 8:
            x.append(float(strengths[members].mean()))
            y.append(float(np.median(energies[members])))
            weight.append(np.sqrt(min(len(members), 200)) / (y[-1] + floor**2))
    return _non_negative_line(np.array(x), np.array(y), np.array(weight))


def _non_negative_line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted least squares of y = c + s x with c, s >= 0."""
    square = weight**2
    total = float(square.sum())
    if total == 0:
        return 0.0, 0.0
    mean_x, mean_y = float((square * x).sum()) / total, float((square * y).sum()) / total
    spread = float((square * (x - mean_x) ** 2).sum())
    slope = float((square * (x - mean_x) * (y - mean_y)).sum()) / spread if spread > 0 else 0.0
    if slope < 0:
        return mean_y, 0.0
    if mean_y - slope * mean_x >= 0:
        return mean_y - slope * mean_x, slope
    through_zero = float((square * x * y).sum()) / max(float((square * x * x).sum()), 1e-12)
    return 0.0, through_zero


def _unlike_colour(prediction: Prediction, target: U8Array, valid: np.ndarray) -> tuple[F32Array, F32Array]:
    """(unlike, expected) of chroma."""
    if prediction.colour is None or prediction.bled_colour is None:
        return np.zeros(valid.shape, np.float32), np.full(valid.shape, _FLOOR_CHROMA**2, np.float32)
    expected, bled, there = (half_chroma(picture) for picture in (prediction.colour, prediction.bled_colour, target))
    # A stroke of a small coloured letter is one pixel wide here: what is smoothed more no longer shows it.
    residual = cv2.GaussianBlur(beyond(there, expected, bled), (0, 0), 0.6)
    energy = np.asarray(cv2.GaussianBlur(residual * residual, (0, 0), 1.0).sum(axis=2), np.float32)
    steepness = np.zeros(valid.shape, np.float32)
    for plane in cv2.split(cv2.GaussianBlur(expected, (0, 0), 0.8)):
        dx, dy = gradients(np.asarray(plane, np.float32))
        steepness += dx * dx + dy * dy
    edges = np.asarray(cv2.GaussianBlur(steepness, (0, 0), 2.0), np.float32)
    constant, share = _expected(energy, edges, valid, _FLOOR_CHROMA)
    allowed = np.asarray(constant + share * edges + _FLOOR_CHROMA**2, np.float32)
    return np.where(valid, np.sqrt(energy / allowed), 0).astype(np.float32), allowed


def half_chroma(picture: U8Array) -> F32Array:
    """(rows, columns, 2) at half the resolution, in levels."""
    even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    small = cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)[..., 1:], np.float32)


def beyond(seen: F32Array, one: F32Array, other: F32Array) -> F32Array:
    """How far `seen` is outside of what lies between two predictions."""
    return np.asarray(seen - np.clip(seen, np.minimum(one, other), np.maximum(one, other)), np.float32)
