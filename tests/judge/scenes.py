"""Pictures drawn from a seed: as rich as a photo, and equal on every machine, so that the tests need no files."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from deepdupe_daemon.model import U8Array

__all__ = ["jpeg", "resized", "scene"]


def scene(seed: int, width: int = 400, height: int = 300) -> U8Array:
    """Clouds of every scale, under shapes of every size: edges, texture and flat places."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells in (3, 6, 12, 24, 48, 96):
        coarse = rng.normal(0, 60 / np.sqrt(cells), (cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(picture + 128, 0, 255).astype(np.uint8)
    for _ in range(25):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = tuple(int(value) for value in rng.integers(6, max(8, width // 8), 2))
        colour = tuple(int(value) for value in rng.integers(20, 235, 3))
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    grain = rng.normal(0, 3, canvas.shape)
    return np.clip(canvas + grain, 0, 255).astype(np.uint8)


def jpeg(picture: U8Array, quality: int) -> U8Array:
    """`picture` after a JPEG at this quality."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out).convert("RGB"))


def resized(picture: U8Array, width: int, height: int) -> U8Array:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
