"""Pixels of one picture at the scale that is needed, as stored, with all that is needed to bring them upright and to
sRGB.

JPEGs are decoded by libjpeg-turbo at the smallest power-of-two scale (its inverse DCT then does the shrinking);
everything else is decoded in full and shrunk by whole blocks where it is far too large. Scales between the powers of
two, and the fast DCT, are cheaper by little and differ from the reference by 37 dB and by a systematic shift: not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from PIL import Image, ImageFile

from deepdupe_daemon.model import ExifFacts, ImageFacts, U8Array
from deepdupe_daemon.vision.decode.colour import Colour, Profiles
from deepdupe_daemon.vision.decode.container import breaks_off, lacks_only_end_mark, riff_chunks
from deepdupe_daemon.vision.decode.exif import exif_facts, orientation_of
from deepdupe_daemon.vision.decode.opening import explain, open_header
from deepdupe_daemon.vision.decode.pixels import flatten
from deepdupe_daemon.vision.decode.refusal import Kind, Refusal
from deepdupe_daemon.vision.decode.source import Source
from deepdupe_daemon.vision.decode.upright import swaps_sides

__all__ = ["Raster", "decode_raster", "decode_whole_jpeg", "refuse_cut"]

_JPEGS = frozenset({"JPEG", "MPO"})
_FRAME_COUNTERS = frozenset({"GIF", "WEBP", "PNG", "TIFF", "AVIF", "HEIF", "MPO"})
_LOSSLESS = frozenset({
    "PNG", "GIF", "BMP", "DIB", "PPM", "TGA", "QOI", "SGI", "PCX", "DCX", "SUN", "MSP", "XBM", "XPM", "ICO", "CUR",
    "PSD", "IM", "PIXAR", "FLI", "FITS", "SPIDER", "XVThumb", "GBR",
})  # fmt: skip
_LOSSY_TIFF = frozenset({6, 7, 34892, 34933, 50001, 50002})  # JPEG of both kinds, lossy DNG, WebP, JPEG XL
#: a side beyond this is shrunk whatever the other side is: a strip 100 times as long as it is wide is no photo
_LONGEST_PX = 65_536
#: a JPEG is decoded by simplejpeg, which gives an array without a further copy, where it is of this kind
_LENIENT = frozenset({"AVIF", "HEIF", "JPEG2000", "JXL"})
_SIMPLE_MODES = {"L": "GRAY", "RGB": "RGB"}


@dataclass(frozen=True, slots=True)
class Raster:
    """`pixels`: (h, w, 1 or 3) uint8, as stored. `extent`: (width, height) of the picture in these pixels, not
    rounded up.
    """

    pixels: U8Array
    extent: tuple[float, float]
    orientation: int
    colour: Colour
    facts: ImageFacts


def decode_raster(
    source: Source, profiles: Profiles, *, least_px: int, max_pixels: int, of_longer_side: bool = False
) -> Raster:
    """Decode at a scale that leaves the shorter side (or the longer) at least `least_px`; smaller pictures in full.

    Raises Refusal: every kind that bytes can cause.
    """
    image = open_header(source, max_pixels)
    name = image.format or ""
    deciding = max(image.size) if of_longer_side else min(image.size)
    try:
        if name in _JPEGS:
            return _decode_jpeg(image, source, profiles, _power_of_two(deciding, least_px))
        return _decode_other(image, source, profiles, max(1, deciding // least_px))
    except Exception as error:
        raise explain(error, source, name) from error
    finally:
        image.close()


def decode_whole_jpeg(image: ImageFile.ImageFile, source: Source) -> U8Array | None:
    """All pixels of an 8-bit grey or colour JPEG, (h, w, 1 or 3); None where Pillow has to do it."""
    return _simple(image, source, 1)


def _decode_jpeg(image: ImageFile.ImageFile, source: Source, profiles: Profiles, scale: int) -> Raster:
    facts = _facts(image, source, exif_facts(image), orientation_of(image))
    width, height = image.size
    pixels = _simple(image, source, scale)
    converted = False
    if pixels is None:
        image.draft(None, (-(-width // scale), -(-height // scale)))
        image.load()
        scale = round(width / image.width) if image.width > 1 else scale
        flat = flatten(image, profiles)
        pixels, converted = _array(flat.image), flat.converted
    extent = (width / scale, height / scale)
    colour = _colour(image.info.get("icc_profile"), profiles, pixels, converted=converted)
    return Raster(pixels, extent, facts.orientation, colour, facts)


def _simple(image: ImageFile.ImageFile, source: Source, scale: int) -> U8Array | None:
    layout = _SIMPLE_MODES.get(image.mode)
    if layout is None or source.data is None:
        return None
    width, height = image.size
    pixels = _decoded(source.data, layout, width, height, scale)
    if pixels is None and lacks_only_end_mark(source.data):
        pixels = _decoded(source.data + b"\xff\xd9", layout, width, height, scale)
    if pixels is None:
        return None
    if pixels.shape[:2] != (-(-height // scale), -(-width // scale)):
        return None  # the two libraries read different frames: let one of them do both
    return pixels


def _decoded(data: bytes, layout: str, width: int, height: int, scale: int) -> U8Array | None:
    try:
        pixels: U8Array = simplejpeg.decode_jpeg(
            data, layout, min_height=-(-height // scale), min_width=-(-width // scale), strict=True
        )
    except ValueError:
        # a warning or an error: Pillow knows which, and tells a picture that breaks off from one that is odd
        return None
    return pixels


def _decode_other(image: ImageFile.ImageFile, source: Source, profiles: Profiles, factor: int) -> Raster:
    frames = _frames(image)
    stored_orientation = orientation_of(image)
    profile = image.info.get("icc_profile")
    exif = exif_facts(image)  # before loading: some files are closed after it
    image.load()
    refuse_cut(source, image.format or "")
    # TIFF turns itself upright on loading and forgets the tag; the others leave both to us
    facts = _facts(image, source, exif, orientation_of(image))
    width, height = image.size
    factors = max(factor, -(-width // _LONGEST_PX)), max(factor, -(-height // _LONGEST_PX))
    flat = flatten(image, profiles, factors)
    pixels = _array(flat.image)
    colour = _colour(profile, profiles, pixels, converted=flat.converted)
    extent = (width / factors[0], height / factors[1])
    return Raster(
        pixels,
        extent,
        facts.orientation,
        colour,
        replace(facts, frames=frames, has_alpha=flat.has_alpha, orientation=_as_stored(image, stored_orientation)),
    )


def refuse_cut(source: Source, name: str) -> None:
    """Some decoders give what there is of a picture that breaks off, without a word. Raises Refusal: truncated."""
    if name in _LENIENT and breaks_off(source, name):
        raise Refusal(Kind.TRUNCATED, f"{name}: the file ends before its container does")


def _as_stored(image: ImageFile.ImageFile, orientation: int) -> int:
    """pillow-heif turns the picture itself and resets the tag, and keeps what it was."""
    original = image.info.get("original_orientation")
    return original if isinstance(original, int) and 1 <= original <= 8 else orientation


def _colour(profile: object, profiles: Profiles, pixels: U8Array, *, converted: bool) -> Colour:
    if converted or pixels.shape[2] == 1:
        return Colour(means_srgb=False)
    return profiles.of(profile, "RGB")


def _power_of_two(shorter: int, least_px: int) -> int:
    scale = 1
    while scale < 8 and shorter // (2 * scale) >= least_px:
        scale *= 2
    return scale


def _array(image: Image.Image) -> U8Array:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _frames(image: ImageFile.ImageFile) -> int:
    """How many there are; the image stays at its own first frame, which in a HEIF is not always number 0."""
    if image.format not in _FRAME_COUNTERS:
        return 1
    at = image.tell()
    try:
        frames = int(getattr(image, "n_frames", 1))
    except Refusal:
        raise
    except Exception:  # noqa: BLE001 - a broken later frame is no reason to refuse the first
        frames = 1
    if image.tell() != at:
        image.seek(at)
    return max(1, min(frames, 1_000_000))


def _facts(image: ImageFile.ImageFile, source: Source, exif: ExifFacts, orientation: int) -> ImageFacts:
    width, height = image.size[::-1] if swaps_sides(orientation) else image.size
    return ImageFacts(
        width_px=width,
        height_px=height,
        format=image.format or "",
        mode=image.mode,
        frames=_frames(image) if image.format == "MPO" else 1,
        lossless=_is_lossless(image, source),
        orientation=orientation,
        exif=exif,
    )


def _is_lossless(image: ImageFile.ImageFile, source: Source) -> bool:
    if image.format == "TIFF":
        return getattr(image, "tag_v2", {}).get(259, 1) not in _LOSSY_TIFF
    if image.format == "WEBP":
        chunks = riff_chunks(source.data if source.data is not None else source.head)
        return b"VP8L" in chunks and b"VP8 " not in chunks
    return image.format in _LOSSLESS
