"""Pictures for the tests: seeded, textured like photos, so that hashes and the verifier find something to hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

__all__ = ["photo", "save"]


def photo(seed: int, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """A picture of soft shapes and grain that no other seed resembles."""
    dice = np.random.default_rng(seed)
    coarse = dice.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
    pixels = np.asarray(picture).astype(np.int16)
    for _ in range(24):
        y, x = int(dice.integers(0, size[1])), int(dice.integers(0, size[0]))
        h, w = int(dice.integers(12, 90)), int(dice.integers(12, 90))
        pixels[y : y + h, x : x + w] += dice.integers(-90, 90, 3, dtype=np.int16)
    pixels += dice.normal(0, 4, pixels.shape).astype(np.int16)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save(picture: Image.Image, path: Path, **options: object) -> Path:
    """Write beside and rename into place, as careful programs do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part{path.suffix}")
    picture.save(part, **options)
    part.rename(path)
    return path
