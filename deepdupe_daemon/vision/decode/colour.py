"""Colour profiles: a picture in another colour space is brought to sRGB, so that its copy in sRGB looks the same.

The reference preprocessing of the models ignores profiles. A phone's Display P3 photo and the same photo exported as
sRGB would then differ in every colour, and "colour-profile change" is a re-encode that has to be found. So pictures
whose profile differs visibly from sRGB are converted, after the resize, where it costs 0.3 ms for 224 x 224; pictures
without a profile, or with one that means sRGB, are left as they are, equal to the reference.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

from deepdupe_daemon.model import U8Array

__all__ = ["Colour", "Profiles"]

#: larger profiles are not read; the largest in use (CMYK press profiles) have 3 MB
_MAX_PROFILE_BYTES = 8 * 1024 * 1024
#: a profile that moves no colour of a coarse grid by more than this means sRGB
_SAME_LEVELS = 3
_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Colour:
    """What a profile asks for: `transform` to sRGB, or None where the pixels may be taken as they are.

    `means_srgb` says why: True where the profile, read and understood, differs from sRGB in nothing that can be seen.
    """

    means_srgb: bool
    transform: ImageCms.ImageCmsTransform | None = None

    def apply(self, pixels: U8Array) -> U8Array:
        """(h, w, 3) uint8 to the same in sRGB."""
        if self.transform is None:
            return pixels
        return np.asarray(self.convert(Image.fromarray(pixels)))

    def convert(self, image: Image.Image) -> Image.Image:
        """An image of the profile's mode to "RGB" in sRGB."""
        if self.transform is None:
            return image
        converted = ImageCms.applyTransform(image, self.transform)
        assert converted is not None  # only in place gives None
        return converted


class Profiles:
    """Transforms to sRGB of the profiles seen last: cameras have few, and building one takes a millisecond or fifty.

    Owned by one decoder.
    """

    def __init__(self) -> None:
        self._srgb = ImageCms.createProfile("sRGB")
        self._known: OrderedDict[tuple[bytes, str], Colour] = OrderedDict()

    def of(self, profile: object, mode: str) -> Colour:
        """The Colour of ICC bytes for images of Pillow mode `mode` ("RGB", "CMYK", "LAB"); unusable profiles ask for
        nothing.
        """
        if mode == "LAB":
            return self._built(b"", mode)
        if mode not in {"RGB", "CMYK"} or not isinstance(profile, bytes) or not profile:
            return Colour(means_srgb=not profile)
        if len(profile) > _MAX_PROFILE_BYTES:
            return Colour(means_srgb=False)
        return self._built(profile, mode)

    def _built(self, profile: bytes, mode: str) -> Colour:
        key = (profile, mode)
        colour = self._known.get(key)
        if colour is None:
            colour = self._known[key] = self._build(profile, mode)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return colour

    def _build(self, profile: bytes, mode: str) -> Colour:
        try:
            source = ImageCms.createProfile("LAB") if mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(source, self._srgb, mode, "RGB")
            if mode == "RGB":
                grid = _colour_grid()
                moved = np.asarray(ImageCms.applyTransform(Image.fromarray(grid), transform)).astype(np.int16)
                if int(np.abs(moved - grid).max()) <= _SAME_LEVELS:
                    return Colour(means_srgb=True)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return Colour(means_srgb=False)
        return Colour(means_srgb=False, transform=transform)


def _colour_grid() -> U8Array:
    """(81, 9, 3): nine levels a channel, every combination."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(81, 9, 3)
