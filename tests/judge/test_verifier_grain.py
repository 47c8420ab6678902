"""Grain: compression takes it away and leaves a copy; another shot has its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deepdupe_daemon.judge import compare_pictures
from deepdupe_daemon.model import Relation, U8Array
from tests.judge.scenes import jpeg, resized


def soft(seed: int, width: int = 1200, height: int = 900) -> U8Array:
    """Soft shapes without texture, as beyond a lens at night."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 2)
    for _ in range(24):
        x, y, w, h = (int(value) for value in rng.integers((0, 0, 12, 12), (width, height, 90, 90)))
        part = picture[y : y + h, x : x + w].astype(np.int16) + rng.integers(-90, 90, 3, dtype=np.int16)
        picture[y : y + h, x : x + w] = np.clip(part, 0, 255)
    return picture


def grainy(picture: U8Array, sigma: float, seed: int) -> U8Array:
    """`picture` with the grain of one exposure, in levels."""
    grain = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize(("sigma", "quality"), [(4, 70), (4, 62), (8, 50)])
def test_a_copy_that_lost_its_grain_is_the_same(seed: int, sigma: float, quality: int) -> None:
    shot = jpeg(grainy(soft(seed), sigma, seed), 90)
    small = resized(shot, 800, 600)
    assert compare_pictures(small, resized(jpeg(shot, quality), 800, 600)).relation is Relation.SAME


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("quality", [90, 50])
def test_the_next_frame_with_its_own_grain_a_little_moved_is_no_copy(seed: int, quality: int) -> None:
    picture = soft(seed)
    rows, columns = np.mgrid[0:900, 0:1200].astype(np.float32)
    moved = cv2.remap(
        picture,
        (columns + 3 * np.sin(rows / 90 + seed)).astype(np.float32),
        (rows + 3 * np.cos(columns / 110)).astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    first = resized(jpeg(grainy(picture, 4, seed), 90), 800, 600)
    second = resized(jpeg(grainy(moved, 4, seed + 100), quality), 800, 600)
    assert compare_pictures(first, second).relation is not Relation.SAME
