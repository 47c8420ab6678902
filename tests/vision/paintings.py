"""Pictures made on the spot, and the shortest way from bytes to what the decoder says of them."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepdupe_daemon.model import InputSpec, U8Array
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.digest import pixel_digest
from deepdupe_daemon.vision.decode.sight import Decoder, Seen
from deepdupe_daemon.vision.decode.source import Source, read_source

MAX_BYTES = 1 << 30
MAX_PIXELS = 40_000_000

#: orientation: what turns the upright picture into the stored one
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a, -1),
}


def scene(width: int = 320, height: int = 240, seed: int = 1) -> U8Array:
    """(h, w, 3): shapes of every size over a gradient, different in every corner, as full of contrast as a photo."""
    if max(width, height) > 640:
        share = 640 / max(width, height)
        least = scene(max(8, round(width * share)), max(8, round(height * share)), seed)
        return np.asarray(Image.fromarray(least).resize((width, height), Image.Resampling.BICUBIC))
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([90 + 80 * x / width, 150 - 60 * y / height, 120 + 0 * x], axis=-1)
    for size in np.geomspace(0.5, 0.04, 60):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        half_w, half_h = size * width * rng.uniform(0.3, 0.6), size * height * rng.uniform(0.3, 0.6)
        inside = ((x - cx) / half_w) ** 2 + ((y - cy) / half_h) ** 2 < 1
        pixels[inside] = np.clip(rng.uniform(10, 245) + rng.uniform(-30, 30, 3), 0, 255)
    return pixels.round().astype(np.uint8)


def encode(pixels: npt.NDArray[Any] | Image.Image, name: str, **options: Any) -> bytes:
    """An array or image in Pillow format `name`."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def with_orientation(pixels: U8Array, orientation: int, name: str = "JPEG", **options: Any) -> bytes:
    """`pixels` are how the picture is to be seen."""
    if name == "HEIF":  # which turns by a property of its own, and for which EXIF decides nothing
        image = Image.fromarray(np.ascontiguousarray(STORED[orientation](pixels)))
        image.getexif()[0x0112] = orientation
        return encode(image, name, **options)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(STORED[orientation](pixels), name, exif=exif, **options)


@contextmanager
def source_of(data: bytes) -> Iterator[Source]:
    fd = os.memfd_create("picture")
    try:
        os.write(fd, data)
        yield read_source(fd, MAX_BYTES)
    finally:
        os.close(fd)


def see(data: bytes, specs: Sequence[InputSpec] = (), *, max_pixels: int = MAX_PIXELS) -> Seen:
    """Raises Refusal."""
    with source_of(data) as source:
        return Decoder(specs, Profiles(), max_pixels=max_pixels).see(source)


def digest_of(data: bytes) -> bytes:
    """The pixel digest. Raises Refusal."""
    with source_of(data) as source:
        return pixel_digest(source, Profiles(), MAX_PIXELS)


def view(data: bytes, side_px: int = 96) -> U8Array:
    """The picture squashed to a small square, as a model would see it."""
    return see(data, [InputSpec(side_px=side_px, fit="squash", filter="bilinear")]).inputs[0]


def small(pixels: U8Array, side_px: int = 96) -> U8Array:
    """What `view` should show of a picture that has these pixels."""
    return np.asarray(Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.BILINEAR))


def distance_bits(a: bytes, b: bytes) -> int:
    """Hamming distance."""
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def psnr_db(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 99.0 if error == 0 else min(99.0, 10 * float(np.log10(255**2 / error)))


def large_photos(data_dir: Path, count: int, *, least_px: int) -> list[bytes]:
    """`count` JPEGs of the evaluation images, both sides at least `least_px`, upright, in RGB, without a profile."""
    found: list[bytes] = []
    for entry in json.loads((data_dir / "manifest.json").read_text(encoding="utf-8")):
        path = data_dir / entry["set"] / entry["path"]
        if entry["bytes"] < 100_000 or path.suffix.lower() not in {".jpg", ".jpeg"}:
            continue
        if "corrupt" in path.name:
            continue
        with Image.open(path) as image:
            plain = image.mode == "RGB" and not image.info.get("icc_profile") and image.getexif().get(0x0112, 1) == 1
            if plain and min(image.size) >= least_px:
                found.append(path.read_bytes())
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} of {count} photos")
