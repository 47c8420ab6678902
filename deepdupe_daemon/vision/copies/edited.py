"""What people do to a picture: they cut it, write on it, frame it, turn it, run it through a filter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from deepdupe_daemon.vision.copies.re_encoded import Chance, Step, encoded

__all__ = ["STEPS"]

_QUALITY = 85


def _font(size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(6.0, size_px))


def _saved(image: Image.Image) -> bytes:
    return encoded(image, quality=_QUALITY)


def _crop(image: Image.Image, chance: Chance) -> bytes:
    """45 to 95 % of the area, from anywhere, the shape kept within a fifth."""
    area, shape = chance.uniform(0.45, 0.95), float(np.exp(chance.uniform(-0.2, 0.2)))
    wide = min(1.0, (area * shape) ** 0.5)
    high = min(1.0, area / wide)
    width, height = max(1, round(image.width * wide)), max(1, round(image.height * high))
    left, top = int(chance.integers(image.width - width + 1)), int(chance.integers(image.height - height + 1))
    return _saved(image.crop((left, top, left + width, top + height)))


def _border(image: Image.Image, chance: Chance) -> bytes:
    width = max(2, round(max(image.size) * chance.uniform(0.02, 0.12)))
    return _saved(ImageOps.expand(image, width, ("white", "black")[chance.integers(2)]))


def _caption(image: Image.Image, chance: Chance) -> bytes:
    strip = max(12, round(image.height * chance.uniform(0.08, 0.2)))
    page = Image.new("RGB", (image.width, image.height + strip), "white")
    below = bool(chance.integers(2))
    page.paste(image, (0, 0 if below else strip))
    text_top = (image.height if below else 0) + strip // 4
    ImageDraw.Draw(page).text((strip // 2, text_top), "when you see it", "black", _font(strip * 0.5))
    return _saved(page)


def _watermark(image: Image.Image, chance: Chance) -> bytes:
    layer = Image.new("RGBA", image.size)
    at = (image.width * chance.uniform(0.05, 0.4), image.height * chance.uniform(0.1, 0.8))
    ink = (255, 255, 255, int(chance.integers(80, 200)))
    ImageDraw.Draw(layer).text(at, "(c) somebody", ink, _font(image.width * chance.uniform(0.05, 0.12)))
    return _saved(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"))


def _sticker(image: Image.Image, chance: Chance) -> bytes:
    marked = image.copy()
    side = min(image.size) * chance.uniform(0.12, 0.3)
    left, top = chance.uniform(0, image.width - side), chance.uniform(0, image.height - side)
    line = max(1, round(side / 20))
    draw = ImageDraw.Draw(marked)
    draw.ellipse((left, top, left + side, top + side), "yellow", "black", line)
    draw.arc((left + side * 0.2, top + side * 0.3, left + side * 0.8, top + side * 0.8), 10, 170, "black", line)
    return _saved(marked)


def _screenshot(image: Image.Image, chance: Chance) -> bytes:
    """In a gallery app on a telephone."""
    width = max(64, round(max(image.size) * chance.uniform(0.6, 0.9)))
    shown = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    screen = Image.new("RGB", (width, max(round(width * 1.9), round(shown.height * 1.3))), (18, 18, 20))
    screen.paste(shown, (0, (screen.height - shown.height) // 2))
    bar = screen.height // 22
    draw = ImageDraw.Draw(screen)
    draw.text((bar // 2, bar // 4), "12:34", "white", _font(bar * 0.5))
    draw.text((bar // 2, bar + bar // 3), "< Gallery", "white", _font(bar * 0.6))
    return encoded(screen, "PNG", compress_level=1)


def _photo_filter(image: Image.Image, chance: Chance) -> bytes:
    """Warm tint, lifted blacks, darker corners."""
    strength = chance.uniform(0.3, 1.0)
    tint = np.array([[0.75, 0.3, 0.1], [0.2, 0.7, 0.1], [0.15, 0.3, 0.45]], np.float32)
    matrix = np.eye(3, dtype=np.float32) * (1 - strength) + tint * strength
    pixels = np.asarray(image, np.float32) @ matrix.T
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    shade = (1 - 0.4 * strength * (x**2 + y**2) / 2)[..., None].astype(np.float32)
    toned = pixels * shade * (1 - 0.1 * strength) + 22 * strength
    return _saved(Image.fromarray(np.clip(toned, 0, 255).astype(np.uint8)))


def _blur(image: Image.Image, chance: Chance) -> bytes:
    return _saved(image.filter(ImageFilter.GaussianBlur(chance.uniform(0.001, 0.006) * max(image.size))))


def _noise(image: Image.Image, chance: Chance) -> bytes:
    pixels = np.asarray(image, np.float32)
    grain = chance.normal(0, chance.uniform(4, 16), pixels.shape).astype(np.float32)
    return _saved(Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)))


def _stretched(image: Image.Image, chance: Chance) -> bytes:
    shape = float(np.exp(chance.choice([-1, 1]) * chance.uniform(0.08, 0.3)))
    return _saved(image.resize((max(1, round(image.width * shape)), image.height), Image.Resampling.BICUBIC))


def _mirrored(image: Image.Image, _chance: Chance) -> bytes:
    return _saved(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def _turned(image: Image.Image, chance: Chance) -> bytes:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    return _saved(image.transpose(turns[chance.integers(3)]))


def _tilted(image: Image.Image, chance: Chance) -> bytes:
    """By 1 to 8 degrees, cut to what stays inside."""
    degrees = float(chance.choice([-1, 1]) * chance.uniform(1, 8))
    angle = np.deg2rad(abs(degrees))
    shrink = min(image.size) / (max(image.size) * np.sin(angle) + min(image.size) * np.cos(angle))
    margin_x, margin_y = (1 - shrink) / 2 * image.width, (1 - shrink) / 2 * image.height
    box = (round(margin_x), round(margin_y), round(image.width - margin_x), round(image.height - margin_y))
    return _saved(image.rotate(degrees, Image.Resampling.BICUBIC).crop(box))


STEPS: Mapping[str, Step] = {
    "crop": _crop,
    "border": _border,
    "caption": _caption,
    "watermark": _watermark,
    "sticker": _sticker,
    "screenshot": _screenshot,
    "photo filter": _photo_filter,
    "blur": _blur,
    "noise": _noise,
    "stretched": _stretched,
    "mirrored": _mirrored,
    "turned": _turned,
    "tilted": _tilted,
}
