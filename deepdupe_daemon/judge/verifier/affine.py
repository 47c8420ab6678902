"""Affine maps between pictures, in coordinates that do not depend on their pixel sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["IDENTITY", "Affine"]


def _to_pixels(size: tuple[int, ...]) -> np.ndarray:
    """(3, 3): from -1..1 across a picture of (height, width) to pixel centres."""
    height, width = size[:2]
    return np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])


@dataclass(frozen=True, slots=True)
class Affine:
    """Where a target's points lie in the source: x' = a x + b y + c, y' = d x + e y + f, all from -1 to 1 across a
    picture."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0

    @classmethod
    def from_pixels(cls, matrix: np.ndarray, source: tuple[int, ...], target: tuple[int, ...]) -> Self:
        """From a 2 x 3 matrix that takes target pixels to source pixels; sizes as (height, width)."""
        full = np.vstack([matrix, [0, 0, 1]])
        unit = np.linalg.inv(_to_pixels(source)) @ full @ _to_pixels(target)
        return cls(*(float(value) for value in unit[:2].ravel()))

    def numbers(self) -> tuple[float, float, float, float, float, float]:
        return (self.a, self.b, self.c, self.d, self.e, self.f)

    def matrix(self) -> np.ndarray:
        """(3, 3), homogeneous."""
        return np.array([[self.a, self.b, self.c], [self.d, self.e, self.f], [0, 0, 1]])

    def inverse(self) -> Affine:
        return Affine(*(float(value) for value in np.linalg.inv(self.matrix())[:2].ravel()))

    def after(self, first: Affine) -> Affine:
        """The map that applies `first` and then this one."""
        return Affine(*(float(value) for value in (self.matrix() @ first.matrix())[:2].ravel()))

    def pixels(self, source: tuple[int, ...], target: tuple[int, ...]) -> F32Array:
        """The 2 x 3 matrix from target pixels to source pixels."""
        full = _to_pixels(source) @ self.matrix() @ np.linalg.inv(_to_pixels(target))
        return np.asarray(full[:2], np.float32)

    def shrink(self, source: tuple[int, ...], target: tuple[int, ...]) -> float:
        """How many source pixels lie on a side of a target pixel."""
        linear = self.pixels(source, target)[:, :2].astype(np.float64)
        return float(np.sqrt(abs(np.linalg.det(linear))))

    def offset_px(self, side_px: int) -> float:
        """The largest displacement against the identity anywhere in a picture of this longer side."""
        corners = np.array([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
        moved = corners @ self.matrix()[:2].T - corners[:, :2]
        return float(np.abs(moved).max()) * side_px / 2

    @classmethod
    def window(cls, box: tuple[int, int, int, int], size: tuple[int, ...]) -> Self:
        """Where the points of a part (left, top, right, bottom, in pixels) of a picture of (height, width) lie in
        it."""
        left, top, right, bottom = box
        height, width = size[:2]
        return cls(
            a=(right - left) / width,
            c=(left + right) / width - 1,
            e=(bottom - top) / height,
            f=(top + bottom) / height - 1,
        )

    def inside(self, source: tuple[int, ...], target: tuple[int, ...]) -> U8Array:
        """(height, width) of the target: 255 where the source has a pixel."""
        full = np.full(source[:2], 255, np.uint8)
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(full, self.pixels(source, target), (target[1], target[0]), flags=flags))

    def shares(self) -> tuple[float, float]:
        """(share of the target that the source shows, share of the source that the target shows)."""
        corners = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
        quad = corners @ self.matrix()[:2].T
        area = _area(quad)
        if area <= 1e-9:
            return 0.0, 0.0
        common = _area(_clipped_to_square(quad))
        return min(1.0, common / area), min(1.0, common / 4.0)


def _area(polygon: np.ndarray) -> float:
    if len(polygon) < 3:
        return 0.0
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _clipped_to_square(polygon: np.ndarray) -> np.ndarray:
    """The part of a convex polygon within -1..1, by Sutherland and Hodgman (cv2's own loses nested shapes that
    touch)."""
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            kept = []
            for here, there in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                depth_here, depth_there = 1 - sign * here[axis], 1 - sign * there[axis]
                if depth_here >= 0:
                    kept.append(here)
                if (depth_here > 0) != (depth_there > 0) and depth_here != depth_there:
                    kept.append(here + (there - here) * (depth_here / (depth_here - depth_there)))
            polygon = np.array(kept).reshape(-1, 2)
            if len(polygon) == 0:
                return polygon
    return polygon


IDENTITY = Affine()
