"""First global comparison: both pictures at one small size, tone fitted, the most different tile decides."""

from __future__ import annotations

import cv2
import numpy as np

from deepdupe_daemon.model import Comparison, F32Array, Relation, U8Array

__all__ = ["compare"]

_SIDE_PX = 192
_TILE_PX = 16


def compare(a: U8Array, b: U8Array) -> Comparison:
    """The relation of two upright RGB pictures, by their aligned luma."""
    for picture in (a, b):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or 0 in picture.shape:
            raise ValueError(f"not an RGB uint8 picture: {picture.shape} {picture.dtype}")
    aspect = np.log(a.shape[1] / a.shape[0]) - np.log(b.shape[1] / b.shape[0])
    if abs(aspect) > 0.03:
        return Comparison(Relation.DIFFERENT, 0.0, reason="another aspect", measures={"aspect": float(aspect)})
    height, width = _common_size(a, b)
    luma_a, luma_b = _luma(a, width, height), _luma(b, width, height)
    spread = min(float(luma_a.std()), float(luma_b.std()))
    if spread < 3.0:
        return Comparison(Relation.UNDECIDED, 0.0, reason="flat", measures={"spread": spread})
    residual = np.abs(_tone_fitted(luma_a, luma_b) - luma_b)
    kernel = (_TILE_PX, _TILE_PX)
    noise = np.sqrt(cv2.boxFilter(residual**2, -1, kernel))
    detail = np.sqrt(np.maximum(0, cv2.boxFilter(luma_b**2, -1, kernel) - cv2.boxFilter(luma_b, -1, kernel) ** 2))
    unlike = noise / (detail + 12.0)
    row, col = np.unravel_index(int(np.argmax(unlike)), unlike.shape)
    worst = float(unlike[row, col])
    tile = (
        max(0.0, (float(col) - _TILE_PX / 2) / width),
        max(0.0, (float(row) - _TILE_PX / 2) / height),
        min(1.0, _TILE_PX / width),
        min(1.0, _TILE_PX / height),
    )
    same = worst < 0.3
    return Comparison(
        Relation.SAME if same else Relation.DIFFERENT,
        max(0.0, 1.0 - worst),
        worst_tile=tile,
        reason="every tile alike" if same else "a tile differs",
        measures={"worst": worst, "mean": float(unlike.mean()), "spread": spread},
    )


def _common_size(a: U8Array, b: U8Array) -> tuple[int, int]:
    smaller = a if a.shape[0] * a.shape[1] <= b.shape[0] * b.shape[1] else b
    height, width = smaller.shape[:2]
    scale = min(1.0, _SIDE_PX / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _luma(picture: U8Array, width: int, height: int) -> F32Array:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    return np.asarray(grey, dtype=np.float32)


def _tone_fitted(source: F32Array, target: F32Array) -> F32Array:
    slope = float(target.std()) / max(1e-3, float(source.std()))
    return np.asarray((source - source.mean()) * slope + target.mean(), dtype=np.float32)
