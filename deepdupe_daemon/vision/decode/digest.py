"""The digest of a picture's pixels: equal for two files exactly if they show the same picture, pixel by pixel.

It is taken of the full-size upright pixels in one canonical layout, so that container, compression, metadata and the
way pixels are stored make no difference: a palette equals the colours it stands for, grey equals three equal
channels, an opaque alpha channel equals none, 8 bits stored in 16 equal 8 bits, a turned copy with an EXIF tag equals
one that is really turned. What can be seen makes a difference: transparency (the colour under fully transparent
pixels does not), depth beyond 8 bits, a colour profile that does not mean sRGB, PNG gamma.

Where a decoder gives only the upper 8 bits of deeper pixels, equal pixels prove nothing: the digest is then made of the
file's own bytes, so that it equals no other file's.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ImageFile

from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.depth import deep_values, hides_low_bits
from deepdupe_daemon.vision.decode.exif import orientation_of
from deepdupe_daemon.vision.decode.opening import explain, open_header
from deepdupe_daemon.vision.decode.pixels import in_8_bits
from deepdupe_daemon.vision.decode.raster import decode_whole_jpeg, refuse_cut
from deepdupe_daemon.vision.decode.source import Source
from deepdupe_daemon.vision.decode.upright import turn_upright

__all__ = ["pixel_digest"]

_VERSION = b"deepdupe pixels 1"
_ROWS = 64
#: PNG gamma as everybody writes it
_USUAL_GAMMA = (0.454, 0.456)


def pixel_digest(source: Source, profiles: Profiles, max_pixels: int) -> bytes:
    """SHA-256, 32 bytes. Raises Refusal."""
    image = open_header(source, max_pixels)
    name = image.format or ""
    try:
        return _digest(image, source, profiles)
    except Exception as error:
        raise explain(error, source, name) from error
    finally:
        image.close()


def _digest(image: ImageFile.ImageFile, source: Source, profiles: Profiles) -> bytes:
    orientation = orientation_of(image)
    profile = image.info.get("icc_profile")
    pixels = decode_whole_jpeg(image, source) if image.format in {"JPEG", "MPO"} else None
    if pixels is None:
        image.load()
        refuse_cut(source, image.format or "")
        orientation = orientation_of(image)
        if hides_low_bits(image, source):
            return hashlib.sha256(_VERSION + b" bytes " + source.digest).digest()
    look = _look(image, profile, profiles)
    layout, values = _canonical(image, pixels)
    values = turn_upright(values, orientation)
    height, width = values.shape[:2]
    digest = hashlib.sha256(b"%s %s %d x %d " % (_VERSION, layout, width, height) + look)
    for row in range(0, height, _ROWS):
        digest.update(np.ascontiguousarray(values[row : row + _ROWS]).data)
    return digest.digest()


def _canonical(image: ImageFile.ImageFile, pixels: npt.NDArray[np.uint8] | None) -> tuple[bytes, npt.NDArray[Any]]:
    """The layout's name and the values, (h, w) or (h, w, c), big-endian where wider than a byte."""
    if pixels is not None:
        return _fewest_channels(pixels)
    if image.mode == "CMYK" or image.mode == "LAB":
        return image.mode.encode(), np.asarray(image)
    if "transparency" not in image.info:
        deep = deep_values(image)
        if deep is not None:
            return _fewest_bits(deep)
    return _fewest_channels(np.asarray(in_8_bits(image)))


def _fewest_bits(values: npt.NDArray[Any]) -> tuple[bytes, npt.NDArray[Any]]:
    if values.dtype == np.uint16 and not (values % 257).any():
        return b"L", (values // 257).astype(np.uint8)
    low, high = values.min(), values.max()
    whole = values.dtype.kind in "iu" or bool((values == np.trunc(values)).all())
    if values.dtype != np.uint16 and whole and low >= 0 and high <= 255:
        return b"L", values.astype(np.uint8)
    if values.dtype.kind == "i" and low >= 0 and high <= 65535:
        return _fewest_bits(values.astype(np.uint16))
    return values.dtype.name.encode(), values.astype(values.dtype.newbyteorder(">"))


def _fewest_channels(values: npt.NDArray[np.uint8]) -> tuple[bytes, npt.NDArray[np.uint8]]:
    if values.ndim == 3 and values.shape[2] in {2, 4}:
        alpha = values[:, :, -1]
        values = values[:, :, :-1] if (alpha == 255).all() else np.where(alpha[:, :, None] == 0, np.uint8(0), values)
    if values.ndim == 3 and values.shape[2] >= 3:
        red = values[:, :, 0]
        if all(
            bool((values[row : row + _ROWS, :, c] == red[row : row + _ROWS]).all())
            for row in range(0, len(values), _ROWS)
            for c in (1, 2)
        ):
            values = values[:, :, [0, *range(3, values.shape[2])]]
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    return {2: b"L"}.get(values.ndim) or {2: b"LA", 3: b"RGB", 4: b"RGBA"}[values.shape[2]], values


def _look(image: ImageFile.ImageFile, profile: object, profiles: Profiles) -> bytes:
    """What else than the values decides how the picture looks: b"" for plain sRGB."""
    if isinstance(profile, bytes) and profile:
        mode = image.mode if image.mode in {"CMYK", "L"} else "RGB"
        if not profiles.of(profile, mode).means_srgb:
            return b"profile " + hashlib.sha256(profile).digest()
        return b""
    gamma = image.info.get("gamma")
    if isinstance(gamma, float) and not _USUAL_GAMMA[0] <= gamma <= _USUAL_GAMMA[1]:
        return b"gamma %.5f" % gamma
    return b""
