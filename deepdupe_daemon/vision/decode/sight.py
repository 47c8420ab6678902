"""One decode, and everything that is wanted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepdupe_daemon.model import F32Array, ImageFacts, InputSpec, PdqHash, U8Array
from deepdupe_daemon.vision.decode.axis import LUMA, Axis, AxisMemo, resize_band
from deepdupe_daemon.vision.decode.colour import Profiles
from deepdupe_daemon.vision.decode.raster import Raster, decode_raster
from deepdupe_daemon.vision.decode.resample import Plan, resample, to_uint8
from deepdupe_daemon.vision.decode.source import Source
from deepdupe_daemon.vision.decode.upright import swaps_sides, turn_upright, upright_flips
from deepdupe_daemon.vision.pdq import CANONICAL_PX, hash_buffer, sampling_band

__all__ = ["Decoder", "Seen"]

#: Both sides of the scaled decode stay at least this many times the model's input. Measured on 399 photos against the
#: reference preprocessing: 4 gives 40.7 dB at the least and 68 on average; 3 gives 31.9 dB at the least, 2 gives 30.7.
_HEADROOM = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """What one decode yields; `inputs` in the order of the decoder's specs."""

    facts: ImageFacts
    pdq: PdqHash
    variants: tuple[bytes, ...]
    inputs: tuple[U8Array, ...]


class Decoder:
    """Makes the inputs of `specs`. Used by one thread; remembers the axes and profiles of recent pictures."""

    def __init__(self, specs: Sequence[InputSpec], profiles: Profiles, *, max_pixels: int) -> None:
        self._specs = tuple(specs)
        self._pictures = tuple(spec for spec in self._specs if spec.kind == "picture")
        self._max_pixels = max_pixels
        self._profiles = profiles
        self._axes = AxisMemo()
        #: half of what PDQ's canonical 512 px would want by the rule changes 1.2 bits of 256; all of it, none
        self._least_px = max([CANONICAL_PX, *(_HEADROOM * (spec.resize_px or spec.side_px) for spec in self._pictures)])

    def see(self, source: Source) -> Seen:
        """Raises Refusal."""
        return self.prepare(self.decode(source))

    def decode(self, source: Source) -> Raster:
        """The picture at the smallest scale that serves every spec. Raises Refusal."""
        return decode_raster(source, self._profiles, least_px=self._least_px, max_pixels=self._max_pixels)

    def prepare(self, raster: Raster) -> Seen:
        """Hashes and inputs of what `decode` gave."""
        plans = [self._pdq_plan(raster), *(self._picture_plan(raster, spec) for spec in self._pictures)]
        buffer, *pictures = resample(raster.pixels, plans)
        pdq, variants = hash_buffer(turn_upright(_luma(buffer, raster), raster.orientation))
        ready = iter([_finish(to_uint8(picture), raster) for picture in pictures])
        bits = np.frombuffer(pdq.bits, dtype=np.uint8)
        inputs = tuple(bits if spec.kind == "pdq" else next(ready) for spec in self._specs)
        return Seen(raster.facts, pdq, variants, inputs)

    def _pdq_plan(self, raster: Raster) -> Plan:
        height, width, channels = raster.pixels.shape
        across, down = raster.extent
        luma = raster.colour.transform is None
        rows = self._axes.get(("pdq", height, down), lambda: sampling_band(height, down).rows())
        columns = self._axes.get(
            ("pdq", width, across, channels, luma), lambda: sampling_band(width, across).columns(channels, luma=luma)
        )
        return Plan(rows, columns, 1 if luma else channels)

    def _picture_plan(self, raster: Raster, spec: InputSpec) -> Plan:
        """In the picture as stored; sizes and the crop are those of the upright one."""
        height, width, channels = raster.pixels.shape
        across, down = raster.extent
        sides = (raster.facts.width_px, raster.facts.height_px)
        targets = _targets(spec, *sides)
        flip_rows, flip_columns = upright_flips(raster.orientation)
        wide, high = _crop(targets[0], spec.side_px, flip=flip_columns), _crop(targets[1], spec.side_px, flip=flip_rows)
        if swaps_sides(raster.orientation):
            wide, high = high, wide
        return Plan(
            self._axis(height, down, high, spec), self._axis(width, across, wide, spec, channels=channels), channels
        )

    def _axis(
        self, lines_in: int, extent: float, crop: tuple[int, int], spec: InputSpec, channels: int | None = None
    ) -> Axis:
        lines_out, first = crop

        def build() -> Axis:
            band = resize_band(lines_in, extent, lines_out, spec.filter, first, spec.side_px)
            return band.rows() if channels is None else band.columns(channels)

        return self._axes.get((lines_in, extent, lines_out, first, spec.side_px, spec.filter, channels), build)


def _targets(spec: InputSpec, width: int, height: int) -> tuple[int, int]:
    """The size that the whole upright picture is resized to, before the crop; as torchvision's Resize has it."""
    if spec.fit == "squash":
        return spec.side_px, spec.side_px
    shorter = spec.resize_px or spec.side_px
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def _crop(target: int, side: int, *, flip: bool) -> tuple[int, int]:
    """(lines of the whole, first line kept): torchvision's CenterCrop, mirrored where the axis runs backwards."""
    first = int(round((target - side) / 2.0))  # noqa: RUF046 - as in the reference
    return target, target - side - first if flip else first


def _luma(buffer: F32Array, raster: Raster) -> F32Array:
    """(h, w, 1 or 3) to (h, w), as it looks in sRGB."""
    if buffer.shape[2] == 1:
        return buffer[:, :, 0]
    luma: F32Array = raster.colour.apply(to_uint8(buffer)).astype(np.float32) @ LUMA
    return luma


def _finish(picture: U8Array, raster: Raster) -> U8Array:
    """Three channels, sRGB, upright, contiguous."""
    picture = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else raster.colour.apply(picture)
    return np.ascontiguousarray(turn_upright(picture, raster.orientation))
