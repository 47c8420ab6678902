"""Whatever mode a decoder gives, to 8-bit greyscale or RGB as it looks on white paper."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.depth import deep_values, to_8_bits

__all__ = ["Flat", "flatten", "in_8_bits", "on_white", "shrink"]

_GREY = frozenset({"1", "L", "LA", "La"})


@dataclass(frozen=True, slots=True)
class Flat:
    """An "L" or "RGB" image. `converted` is True where its colours are sRGB already, whatever its profile says."""

    image: Image.Image
    has_alpha: bool  # at least one pixel is not opaque
    converted: bool


def flatten(image: Image.Image, profiles: Profiles, factors: tuple[int, int] = (1, 1)) -> Flat:
    """A loaded image, shrunk by whole `factors` (x, y) on the way, with alpha composed on white."""
    converted = False
    if image.mode in {"CMYK", "LAB"}:
        colour = profiles.of(image.info.get("icc_profile"), image.mode)
        image = shrink(image, factors)
        factors = (1, 1)
        if colour.transform is not None:
            image = colour.convert(image)
            converted = True
    image = in_8_bits(image)
    has_alpha = image.mode in {"LA", "RGBA"} and _alpha_low(image) < 255
    if image.mode in {"LA", "RGBA"} and not has_alpha:
        image = image.convert("L" if image.mode == "LA" else "RGB")
    return Flat(on_white(shrink(image, factors)), has_alpha, converted)


def in_8_bits(image: Image.Image) -> Image.Image:
    """To "L", "LA", "RGB" or "RGBA", nothing lost but depth; palettes and transparent colours resolved."""
    values = deep_values(image)
    if values is not None:
        grey = Image.fromarray(to_8_bits(values))
        key = image.info.get("transparency")
        if isinstance(key, int):  # PNG: the one 16-bit grey that is transparent
            grey = Image.merge("LA", (grey, Image.fromarray(((values != key) * 255).astype("uint8"))))
        return grey
    if "transparency" in image.info and image.mode in {"1", "L", "P", "RGB"}:
        return image.convert("RGBA")
    if image.mode in {"L", "LA", "RGB", "RGBA"}:
        return image
    if image.mode in _GREY:
        return image.convert("LA" if image.mode == "La" else "L")
    if image.mode in {"PA", "RGBa"} or (image.mode == "P" and image.palette and image.palette.mode == "RGBA"):
        return image.convert("RGBA")
    return image.convert("RGB")


def shrink(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Mean of whole blocks of pixels; alpha is premultiplied meanwhile."""
    return image if factors == (1, 1) else image.reduce(factors)


def on_white(image: Image.Image) -> Image.Image:
    """ "LA" or "RGBA" to "L" or "RGB"."""
    if image.mode not in {"LA", "RGBA"}:
        return image
    mode = "L" if image.mode == "LA" else "RGB"
    paper = Image.new(mode, image.size, "white")
    paper.paste(image.convert(mode), mask=image.getchannel("A"))
    return paper


def _alpha_low(image: Image.Image) -> int:
    (low, _high), *_ = (image.getchannel("A").getextrema(),)
    return int(low)  # type: ignore[arg-type] # a number: the channel has one band
