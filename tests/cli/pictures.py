"""Pictures that tests make for themselves."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

__all__ = ["picture", "save"]


def picture(seed: int, *, side_px: int = 480) -> Image.Image:
    """A picture with structure at every scale, unlike that of any other seed.

    Soft by a pixel, as a lens is: JPEG's halved colour changes hard edges between pure colours beyond what the
    verifier takes for a re-encode, and calls such a copy `edited`.
    """
    centre = (-0.75 + 0.11 * (seed % 5), 0.05 + 0.17 * (seed // 5))
    zoom = 0.5 / (1 + seed % 3)
    extent = (centre[0] - zoom, centre[1] - zoom, centre[0] + zoom, centre[1] + zoom)
    fractal = Image.effect_mandelbrot((side_px, side_px), extent, 80)
    ramp = Image.linear_gradient("L").resize((side_px, side_px)).rotate(37 * seed)
    made = Image.merge("RGB", (fractal, ramp, fractal.rotate(90 * (seed % 4))))
    draw = ImageDraw.Draw(made)
    for step in range(1, 6):
        x, y = (seed * 97 * step) % side_px, (seed * 61 * step * step) % side_px
        draw.ellipse((x, y, x + 30 * step, y + 20 * step), fill=((40 * step) % 256, (seed * 53) % 256, 255 - 30 * step))
    return made.filter(ImageFilter.GaussianBlur(1))


def save(seed: int, path: Path, quality: int = 92) -> None:
    picture(seed).save(path, quality=quality)
