"""Copies of a photo as people and programs make them: name -> the encoded bytes of the copy.

`RE_ENCODED` keeps the picture; `EDITED` changes what is seen; `BETWEEN` may be called either. All are deterministic.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
import pillow_heif
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

__all__ = ["BETWEEN", "EDITED", "RE_ENCODED", "encoded", "font", "grainy"]

pillow_heif.register_heif_opener()

Step = Callable[[Image.Image], bytes]


def font(size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font, so that the pictures are equal on every machine."""
    return ImageFont.load_default(max(6.0, size_px))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of `image` in a container."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _scaled(image: Image.Image, factor: float, resample: int = Image.Resampling.LANCZOS) -> Image.Image:
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), resample)


def _lut(image: Image.Image, curve: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    values = np.clip(np.rint(curve(np.arange(256) / 255.0) * 255), 0, 255).astype(np.uint8)
    return Image.fromarray(values[np.asarray(image)])


def _matrix(image: Image.Image, rows: list[list[float]]) -> Image.Image:
    pixels = np.asarray(image, np.float32) @ np.asarray(rows, np.float32).T
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def grainy(image: Image.Image, sigma: float, seed: int) -> Image.Image:
    """`image` with the grain of one exposure, in levels."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(image, np.float32)
    return Image.fromarray(np.clip(pixels + rng.normal(0, sigma, pixels.shape), 0, 255).astype(np.uint8))


def _jpeg(quality: int) -> Step:
    return lambda image: encoded(image, quality=quality)


def _resized(divisor: float, quality: int = 85, resample: int = Image.Resampling.LANCZOS) -> Step:
    return lambda image: encoded(_scaled(image, 1 / divisor, resample), quality=quality)


#: how Adobe RGB numbers read when the profile is lost: a little less saturated (linear approximation of the primaries)
_PROFILE_LOST = [[0.86, 0.14, 0.0], [0.0, 1.0, 0.0], [0.0, 0.04, 0.96]]

RE_ENCODED: Mapping[str, Step] = {
    **{f"jpeg {quality}": _jpeg(quality) for quality in (95, 85, 75, 60, 50, 40, 30, 20)},
    "png": lambda image: encoded(image, "PNG"),
    "resize 1/2": _resized(2),
    "resize 1/3 jpeg 40": _resized(3, 40),
    "resize 1/4": _resized(4),
    "resize 1/8": _resized(8),
    "resize 1/2 nearest": _resized(2, 90, Image.Resampling.NEAREST),
    "resize x1.5": _resized(1 / 1.5),
    "jpeg 30 twice": lambda image: _jpeg(30)(Image.open(io.BytesIO(_jpeg(40)(image)))),
    "webp 80": lambda image: encoded(image, "WEBP", quality=80),
    "webp 40": lambda image: encoded(image, "WEBP", quality=40),
    "avif 60": lambda image: encoded(image, "AVIF", quality=60, speed=10),
    "avif 35": lambda image: encoded(image, "AVIF", quality=35, speed=10),
    "heic 60": lambda image: encoded(image, "HEIF", quality=60),
    "heic 35": lambda image: encoded(image, "HEIF", quality=35),
    "gif palette": lambda image: encoded(image.quantize(256), "GIF"),
    "palette 64": lambda image: encoded(image.quantize(64), "PNG"),
    "grey": lambda image: encoded(image.convert("L"), quality=88),
    "gamma 0.8": lambda image: encoded(_lut(image, lambda v: v**0.8), quality=88),
    "gamma 1.25": lambda image: encoded(_lut(image, lambda v: v**1.25), quality=88),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.12), quality=88),
    "more contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(1.2), quality=88),
    "less contrast": lambda image: encoded(ImageEnhance.Contrast(image).enhance(0.8), quality=88),
    "profile lost": lambda image: encoded(_matrix(image, _PROFILE_LOST), quality=88),
    "saturated": lambda image: encoded(ImageEnhance.Color(image).enhance(1.3), quality=88),
}


def _blur(share: float) -> Step:
    return lambda image: encoded(image.filter(ImageFilter.GaussianBlur(share * max(image.size))), quality=85)


BETWEEN: Mapping[str, Step] = {
    "blur 0.2 %": _blur(0.002),
    "blur 0.5 %": _blur(0.005),
    "sharpen": lambda image: encoded(image.filter(ImageFilter.UnsharpMask(2, 120, 2)), quality=88),
    "noise 4": lambda image: encoded(grainy(image, 4, image.width), quality=85),
    "noise 12": lambda image: encoded(grainy(image, 12, image.width), quality=85),
    "gamma 0.6": lambda image: encoded(_lut(image, lambda v: v**0.6), quality=88),
    "gamma 1.7": lambda image: encoded(_lut(image, lambda v: v**1.7), quality=88),
    "crop 98 %": lambda image: _cropped(image, 0.98),
}


def _cropped(image: Image.Image, area: float, at: tuple[float, float] = (0.4, 0.6)) -> bytes:
    side = area**0.5
    width, height = round(image.width * side), round(image.height * side)
    left, top = round((image.width - width) * at[0]), round((image.height - height) * at[1])
    return encoded(image.crop((left, top, left + width, top + height)), quality=85)


def _turned(degrees: float, *, fill: str | None) -> Step:
    """Turned about the centre; either the corners are filled, or the picture is cut to what stays inside."""

    def step(image: Image.Image) -> bytes:
        if fill is not None:
            return encoded(image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=fill), quality=85)
        turned = image.rotate(degrees, Image.Resampling.BICUBIC)
        angle = np.deg2rad(abs(degrees))
        width, height = image.size
        shrink = min(width, height) / (max(width, height) * np.sin(angle) + min(width, height) * np.cos(angle))
        margin_x, margin_y = (1 - shrink) / 2 * width, (1 - shrink) / 2 * height
        box = (round(margin_x), round(margin_y), round(width - margin_x), round(height - margin_y))
        return encoded(turned.crop(box), quality=85)

    return step


def _transposed(method: Image.Transpose) -> Step:
    return lambda image: encoded(image.transpose(method), quality=85)


def _captioned(image: Image.Image) -> bytes:
    strip = max(16, image.height // 8)
    out = Image.new("RGB", (image.width, image.height + strip), "white")
    out.paste(image, (0, 0))
    ImageDraw.Draw(out).text((strip // 2, image.height + strip // 4), "look at this!", "black", font(strip * 0.5))
    return encoded(out, quality=85)


def _watermarked(image: Image.Image) -> bytes:
    layer = Image.new("RGBA", image.size)
    text = ImageDraw.Draw(layer)
    text.text((image.width * 0.1, image.height * 0.45), "(c) someone", (255, 255, 255, 120), font(image.width / 8))
    return encoded(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"), quality=85)


def _stickered(image: Image.Image) -> bytes:
    out = image.copy()
    side = min(image.size) * 0.25
    left, top = image.width * 0.6, image.height * 0.55
    draw = ImageDraw.Draw(out)
    draw.ellipse((left, top, left + side, top + side), "yellow", "black", max(1, round(side / 20)))
    draw.arc((left + side * 0.2, top + side * 0.3, left + side * 0.8, top + side * 0.8), 10, 170, "black", 3)
    return encoded(out, quality=85)


def _meme(image: Image.Image) -> bytes:
    out = image.copy()
    size = image.width / 10
    options = {"stroke_width": max(1, round(size / 12)), "stroke_fill": "black"}
    draw = ImageDraw.Draw(out)
    draw.text((image.width * 0.08, image.height * 0.03), "WHEN YOU SEE IT", "white", font(size), **options)
    draw.text((image.width * 0.2, image.height * 0.85), "TWICE A DAY", "white", font(size), **options)
    return encoded(out, quality=80)


def _bordered(image: Image.Image) -> bytes:
    return encoded(ImageOps.expand(image, max(4, max(image.size) // 15), "white"), quality=85)


def _letterboxed(image: Image.Image) -> bytes:
    side = max(image.size)
    out = Image.new("RGB", (side, round(side * 1.2)), "black")
    out.paste(image, ((side - image.width) // 2, (out.height - image.height) // 2))
    return encoded(out, quality=85)


def _screenshot(image: Image.Image) -> bytes:
    """The picture in a gallery app on a phone of about the same pixels."""
    width = round(max(image.size) * 0.75)
    shown = _scaled(image, width / image.width)
    out = Image.new("RGB", (width, max(round(width * 1.9), round(shown.height * 1.4))), (18, 18, 20))
    out.paste(shown, (0, (out.height - shown.height) // 2))
    draw = ImageDraw.Draw(out)
    bar = out.height // 22
    draw.text((bar // 2, bar // 4), "12:34", "white", font(bar * 0.5))
    draw.text((bar // 2, bar + bar // 3), "< Gallery      21 May      ...", "white", font(bar * 0.6))
    for index in range(4):
        x = out.width * (index + 0.5) / 4
        draw.ellipse((x - bar / 2, out.height - 1.5 * bar, x + bar / 2, out.height - bar / 2), outline="white", width=2)
    return encoded(out, "PNG")


def _filtered(image: Image.Image) -> bytes:
    """A photo app's filter: warm tint, lifted blacks, vignette."""
    pixels = np.asarray(_matrix(image, [[0.75, 0.3, 0.1], [0.2, 0.7, 0.1], [0.15, 0.3, 0.45]]), np.float32)
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    shade = 1 - 0.45 * (x**2 + y**2)[..., None] / 2
    return encoded(Image.fromarray(np.clip(pixels * 0.85 * shade + 25, 0, 255).astype(np.uint8)), quality=85)


def _stretched(image: Image.Image) -> bytes:
    side = min(image.size)
    return encoded(image.resize((side, side if image.width != image.height else side * 3 // 4)), quality=85)


EDITED: Mapping[str, Step] = {
    **{
        f"crop {round(area * 100)} %": (lambda image, area=area: _cropped(image, area))
        for area in (0.9, 0.75, 0.5, 0.25)
    },
    "crop corner 50 %": lambda image: _cropped(image, 0.5, (0.0, 1.0)),
    "border": _bordered,
    "letterbox": _letterboxed,
    "caption": _captioned,
    "watermark": _watermarked,
    "sticker": _stickered,
    "meme text": _meme,
    "screenshot": _screenshot,
    "photo filter": _filtered,
    "stretched": _stretched,
    "mirror": _transposed(Image.Transpose.FLIP_LEFT_RIGHT),
    "flip": _transposed(Image.Transpose.FLIP_TOP_BOTTOM),
    "turn 90": _transposed(Image.Transpose.ROTATE_90),
    "turn 180": _transposed(Image.Transpose.ROTATE_180),
    "turn 270": _transposed(Image.Transpose.ROTATE_270),
    **{f"tilt {degrees}": _turned(degrees, fill="white") for degrees in (1, 3, 8, 15)},
    **{f"tilt {degrees} cut": _turned(degrees, fill=None) for degrees in (1, 5, 15)},
    "mirror crop 60 %": lambda image: _cropped(ImageOps.mirror(image), 0.6),
}
