"""Pictures for the verifier: upright, sRGB, small enough to be compared pixel by pixel; the last few are kept."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.model import ImageFacts, U8Array
from deepdupe_daemon.vision.decode.axis import resize_band
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.raster import decode_raster
from deepdupe_daemon.vision.decode.resample import Plan, resample, to_uint8
from deepdupe_daemon.vision.decode.source import Source
from deepdupe_daemon.vision.decode.upright import turn_upright

__all__ = ["Picture", "PictureShelf", "decode_picture"]

#: the scaled decode stays this many times the picture's size: the verifier compares textures
_HEADROOM = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """`pixels`: (h, w, 3) uint8, upright."""

    pixels: U8Array
    facts: ImageFacts


def decode_picture(source: Source, profiles: Profiles, *, side_px: int, max_pixels: int) -> Picture:
    """Longer side `side_px` at the most (a smaller picture keeps its size), bicubic, antialiased. Raises Refusal."""
    raster = decode_raster(source, profiles, least_px=_HEADROOM * side_px, max_pixels=max_pixels, of_longer_side=True)
    across, down = raster.extent
    height, width, channels = raster.pixels.shape
    stored = (raster.facts.width_px, raster.facts.height_px)
    longer = max(stored)
    share = min(1.0, side_px / longer)
    ratio = max(across, down) / longer
    wide, high = max(1, round(across / ratio * share)), max(1, round(down / ratio * share))
    pixels = raster.pixels
    if (wide, high) != (width, height):
        rows = resize_band(height, down, high, "bicubic").rows()
        columns = resize_band(width, across, wide, "bicubic").columns(channels)
        pixels = to_uint8(resample(pixels, [Plan(rows, columns, channels)])[0])
    pixels = np.repeat(pixels, 3, axis=2) if channels == 1 else raster.colour.apply(pixels)
    return Picture(np.ascontiguousarray(turn_upright(pixels, raster.orientation)), raster.facts)


class PictureShelf:
    """The pictures compared last, by content digest and size. Owned by one worker; holds at most `budget_bytes`."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._held_bytes = 0
        self._pictures: OrderedDict[tuple[bytes, int], Picture] = OrderedDict()

    def get(self, digest: bytes, side_px: int) -> Picture | None:
        picture = self._pictures.get((digest, side_px))
        if picture is not None:
            self._pictures.move_to_end((digest, side_px))
        return picture

    def put(self, digest: bytes, side_px: int, picture: Picture) -> None:
        if (digest, side_px) in self._pictures:
            return
        self._pictures[digest, side_px] = picture
        self._held_bytes += picture.pixels.nbytes
        while self._held_bytes > self._budget_bytes:
            _, dropped = self._pictures.popitem(last=False)
            self._held_bytes -= dropped.pixels.nbytes
