"""Pictures that are no copies though nearly every pixel agrees: what the most different tile must find.

Each edit takes a picture and a random generator and returns (what was shot first, what was shot second), both upright
RGB
of one size, plus the box (left, top, right, bottom) in which they differ, for the size of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image, ImageDraw

from tests.evaluation.ladder import font

__all__ = ["LOCAL_EDITS", "Pair"]

Pair = tuple[Image.Image, Image.Image]
_Edit = Callable[[Image.Image, np.random.Generator], Pair]


def _timestamp(image: Image.Image, rng: np.random.Generator) -> Pair:
    """A camera's date stamp, one digit of it other."""
    digits = [str(d) for d in rng.integers(0, 10, 4)]
    other = list(digits)
    other[3] = str((int(other[3]) + int(rng.integers(1, 10))) % 10)
    size = max(14.0, max(image.size) / 32)

    def stamped(text: list[str]) -> Image.Image:
        out = image.copy()
        label = f"2024-05-12  {text[0]}{text[1]}:{text[2]}{text[3]}"
        place = (image.width * 0.95 - size * 8.5, image.height * 0.94 - size)
        ImageDraw.Draw(out).text(place, label, (255, 140, 30), font(size), stroke_width=1, stroke_fill=(60, 20, 0))
        return out

    return stamped(digits), stamped(other)


_CAPTIONS = (
    "happy birthday Anna",
    "happy birthday Anne",
    "my cat at home",
    "my dog at home",
    "sold 12.50",
    "sold 17.50",
)


def _caption(image: Image.Image, rng: np.random.Generator) -> Pair:
    """The same picture with another caption on it."""
    pick = 2 * int(rng.integers(0, len(_CAPTIONS) // 2))
    size = max(14.0, max(image.size) / 24)

    def captioned(text: str) -> Image.Image:
        out = image.copy()
        place = (image.width * 0.05, image.height * 0.06)
        ImageDraw.Draw(out).text(place, text, "white", font(size), stroke_width=1, stroke_fill="black")
        return out

    return captioned(_CAPTIONS[pick]), captioned(_CAPTIONS[pick + 1])


def _box(image: Image.Image, rng: np.random.Generator, share: float) -> tuple[int, int, int, int]:
    side = max(12, round(share * max(image.size)))
    width, height = min(side, image.width // 2), min(side, image.height // 2)
    left = int(rng.integers(0, image.width - width))
    top = int(rng.integers(0, image.height - height))
    return left, top, width, height


def _blend(base: np.ndarray, patch: np.ndarray, left: int, top: int) -> np.ndarray:
    """`patch` over `base` with soft edges, so that no seam betrays it."""
    height, width = patch.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    mask = np.clip((1.15 - np.sqrt(x**2 + y**2)) / 0.3, 0, 1)[..., None]
    out = base.copy()
    under = out[top : top + height, left : left + width]
    out[top : top + height, left : left + width] = under * (1 - mask) + patch * mask
    return out


def _visible(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a person would see the change: some tile of it differs by 14 levels RMS or more in some channel."""
    difference = before.astype(np.float32) - after.astype(np.float32)
    return float(np.sqrt(cv2.blur(difference**2, (9, 9))).max()) >= 14


def _until_visible(image: Image.Image, rng: np.random.Generator, change: Callable[[np.ndarray], np.ndarray]) -> Pair:
    before = np.asarray(image)
    for _ in range(40):
        after = np.clip(np.rint(change(before.astype(np.float32))), 0, 255).astype(np.uint8)
        if _visible(before, after):
            return image, Image.fromarray(after)
    flat = before.copy()  # a picture without structure: put something there instead
    left, top, width, height = _box(image, rng, 0.06)
    flat[top : top + height, left : left + width] = 255 - flat[top : top + height, left : left + width]
    return image, Image.fromarray(flat)


def _cloned(share: float) -> _Edit:
    """A patch of the picture put elsewhere in it: something that was not there before."""

    def edit(image: Image.Image, rng: np.random.Generator) -> Pair:
        def change(base: np.ndarray) -> np.ndarray:
            left, top, width, height = _box(image, rng, share)
            to_left, to_top, *_ = _box(image, rng, share)
            return _blend(base, base[top : top + height, left : left + width], to_left, to_top)

        return _until_visible(image, rng, change)

    return edit


def _moved(share: float, step: float) -> _Edit:
    """A region moved by `step` of the longer side: a person who shifted, a hand."""

    def edit(image: Image.Image, rng: np.random.Generator) -> Pair:
        def change(base: np.ndarray) -> np.ndarray:
            left, top, width, height = _box(image, rng, share)
            angle = rng.uniform(0, 2 * np.pi)
            distance = max(2.0, step * max(image.size))
            y, x = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
            weight = np.exp(
                -(((x - left - width / 2) / (width / 2)) ** 2 + ((y - top - height / 2) / (height / 2)) ** 2)
            ).astype(np.float32)
            return cv2.remap(
                base,
                x + np.float32(np.cos(angle) * distance) * weight,
                y + np.float32(np.sin(angle) * distance) * weight,
                cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT,
            )

        return _until_visible(image, rng, change)

    return edit


def _removed(image: Image.Image, rng: np.random.Generator) -> Pair:
    """Something painted over with its surroundings."""

    def change(base: np.ndarray) -> np.ndarray:
        left, top, width, height = _box(image, rng, 0.06)
        mask = np.zeros(base.shape[:2], np.uint8)
        cv2.ellipse(mask, (left + width // 2, top + height // 2), (width // 2, height // 2), 0, 0, 360, 255, -1)
        return cv2.inpaint(base.astype(np.uint8), mask, 3, cv2.INPAINT_TELEA).astype(np.float32)

    return _until_visible(image, rng, change)


def _recoloured(image: Image.Image, rng: np.random.Generator) -> Pair:
    """An object of another colour, its shading kept: the same product in blue."""

    def change(base: np.ndarray) -> np.ndarray:
        left, top, width, height = _box(image, rng, 0.15)
        region = base[top : top + height, left : left + width]
        return _blend(base, region[..., [2, 0, 1]] * np.float32([0.9, 1.0, 1.1]) + np.float32([-15, 0, 20]), left, top)

    return _until_visible(image, rng, change)


def _second_shot(image: Image.Image, rng: np.random.Generator) -> Pair:
    """The next frame of a hand-held burst: another framing by a few pixels, parallax, noise, a little exposure."""
    base = np.asarray(image, np.float32)
    side = max(image.size)
    y, x = np.mgrid[0 : image.height, 0 : image.width].astype(np.float32)
    coarse = rng.normal(0, 1, (5, 5, 2)).astype(np.float32)
    flow = cv2.resize(coarse, image.size, interpolation=cv2.INTER_CUBIC) * max(1.5, 0.004 * side)
    shift = rng.normal(0, 0.004 * side, 2)
    shot = cv2.remap(
        base,
        x + flow[..., 0] + np.float32(shift[0]),
        y + flow[..., 1] + np.float32(shift[1]),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    shot = shot * rng.uniform(0.97, 1.03) + rng.normal(0, 2, base.shape)
    return image, Image.fromarray(np.clip(shot, 0, 255).astype(np.uint8))


LOCAL_EDITS: Mapping[str, _Edit] = {
    "timestamp digit": _timestamp,
    "caption word": _caption,
    "clone 4 %": _cloned(0.04),
    "clone 8 %": _cloned(0.08),
    "moved 10 % by 1 %": _moved(0.10, 0.01),
    "moved 25 % by 1.5 %": _moved(0.25, 0.015),
    "removed": _removed,
    "recoloured object": _recoloured,
    "burst frame": _second_shot,
}
