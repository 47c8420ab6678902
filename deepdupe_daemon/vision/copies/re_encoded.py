"""What messengers, galleries and converters do to a picture: it is written anew, scaled, its tones shift a little."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pillow_heif
from PIL import Image, ImageEnhance

__all__ = ["STEPS", "Chance", "Step", "encoded"]

Chance = np.random.Generator
Step = Callable[[Image.Image, Chance], bytes]


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of `image` in a container."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _jpeg(image: Image.Image, chance: Chance) -> bytes:
    return encoded(image, quality=int(chance.integers(30, 96)))


def _jpeg_twice(image: Image.Image, chance: Chance) -> bytes:
    """Not on the grid of blocks of the first time, as after a lossless turn or a crop by a pixel."""
    with Image.open(io.BytesIO(_jpeg(image, chance))) as once:
        width, height = once.size
        moved = once.crop((0, 0, max(1, width - 1), max(1, height - 1)))
    return _jpeg(moved, chance)


def _webp(image: Image.Image, chance: Chance) -> bytes:
    return encoded(image, "WEBP", quality=int(chance.integers(30, 91)), method=2)


def _avif(image: Image.Image, chance: Chance) -> bytes:
    return encoded(image, "AVIF", quality=int(chance.integers(30, 81)), speed=10, max_threads=1)


def _heic(image: Image.Image, chance: Chance) -> bytes:
    heif = pillow_heif.from_pillow(image)
    out = io.BytesIO()
    heif.save(out, quality=int(chance.integers(30, 81)), enc_params={"preset": "ultrafast"})
    return out.getvalue()


def _palette(image: Image.Image, chance: Chance) -> bytes:
    return encoded(image.quantize(int(chance.integers(64, 257)), Image.Quantize.FASTOCTREE), "PNG", compress_level=1)


def _resized(least: float, most: float) -> Step:
    """Both sides by one factor between `least` and `most`, log-uniform; then a JPEG."""

    def step(image: Image.Image, chance: Chance) -> bytes:
        factor = float(np.exp(chance.uniform(np.log(least), np.log(most))))
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        how = (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)[chance.integers(3)]
        return encoded(image.resize(size, how), quality=int(chance.integers(60, 96)))

    return step


def _grey(image: Image.Image, chance: Chance) -> bytes:
    return encoded(image.convert("L"), quality=int(chance.integers(70, 96)))


def _gamma(image: Image.Image, chance: Chance) -> bytes:
    gamma = float(np.exp(chance.uniform(np.log(0.75), np.log(1.33))))
    curve = np.rint((np.arange(256) / 255) ** gamma * 255).astype(np.uint8)
    return encoded(Image.fromarray(curve[np.asarray(image)]), quality=88)


def _brightness(image: Image.Image, chance: Chance) -> bytes:
    brighter = ImageEnhance.Brightness(image).enhance(chance.uniform(0.85, 1.15))
    return encoded(ImageEnhance.Contrast(brighter).enhance(chance.uniform(0.8, 1.2)), quality=88)


def _colours(image: Image.Image, chance: Chance) -> bytes:
    """Saturation, and a white balance that moves red against blue."""
    pixels = np.asarray(ImageEnhance.Color(image).enhance(chance.uniform(0.6, 1.4)), np.float32)
    shift = chance.uniform(0.94, 1.06)
    balanced = pixels * np.array([shift, 1.0, 1.0 / shift], np.float32)
    return encoded(Image.fromarray(np.clip(np.rint(balanced), 0, 255).astype(np.uint8)), quality=88)


STEPS: Mapping[str, Step] = {
    "jpeg": _jpeg,
    "jpeg twice": _jpeg_twice,
    "webp": _webp,
    "avif": _avif,
    "heic": _heic,
    "png palette": _palette,
    "smaller": _resized(1 / 3, 0.9),
    "much smaller": _resized(1 / 8, 1 / 3),
    "larger": _resized(1.1, 1.5),
    "grey": _grey,
    "gamma": _gamma,
    "brightness and contrast": _brightness,
    "colours": _colours,
}
