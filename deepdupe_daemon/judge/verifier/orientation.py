"""The eight ways in which a rectangle can lie, and which of them fits best at a glance."""

from __future__ import annotations

import cv2
import numpy as np

from deepdupe_daemon.judge.verifier.affine import Affine
from deepdupe_daemon.model import F32Array, U8Array

__all__ = ["ORIENTATIONS", "likeness", "orientation_affine", "oriented", "small"]

_SIDE_PX = 32

#: (mirrored, quarter turns clockwise): first mirrored left to right, then turned
ORIENTATIONS: tuple[tuple[bool, int], ...] = tuple(
    (mirrored, turns) for mirrored in (False, True) for turns in range(4)
)


def oriented(picture: U8Array, orientation: tuple[bool, int]) -> U8Array:
    """`picture` mirrored and turned."""
    mirrored, turns = orientation
    flipped = picture[:, ::-1] if mirrored else picture
    return np.ascontiguousarray(np.rot90(flipped, -turns))


def orientation_affine(orientation: tuple[bool, int]) -> Affine:
    """From points of the oriented picture to points of the original."""
    mirrored, turns = orientation
    linear = np.eye(2)
    for _ in range(turns):  # a clockwise quarter turn shows at (x, y) what was at (y, -x)
        linear = np.array([[0.0, 1.0], [-1.0, 0.0]]) @ linear
    if mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    return Affine(linear[0, 0], linear[0, 1], 0.0, linear[1, 0], linear[1, 1], 0.0)


def small(picture: U8Array) -> U8Array:
    """The picture squeezed to 32 x 32."""
    return np.asarray(cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA))


def likeness(a: U8Array, b: U8Array) -> list[float]:
    """Correlation of two squeezed pictures, for each of `ORIENTATIONS` applied to `a`."""
    thumb_a, thumb_b = _centred(a), _centred(b)
    scale = float(np.linalg.norm(thumb_a) * np.linalg.norm(thumb_b))
    if scale < 1e-6:
        return [0.0] * len(ORIENTATIONS)
    found = []
    for mirrored, turns in ORIENTATIONS:
        turned = np.rot90(thumb_a[:, ::-1] if mirrored else thumb_a, -turns)
        found.append(float((turned * thumb_b).sum()) / scale)
    return found


def _centred(picture: U8Array) -> F32Array:
    y = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    return np.asarray(y - y.mean(), np.float32)
