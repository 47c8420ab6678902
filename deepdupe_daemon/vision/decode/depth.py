"""Deeper than 8 bits: scaled, never clipped; and whether a decoder hid the low bits from us."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepdupe_daemon.model import U8Array
from deepdupe_daemon.vision.decode.source import Source

__all__ = ["deep_values", "hides_low_bits", "to_8_bits"]

_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def deep_values(image: Image.Image) -> npt.NDArray[np.uint16] | npt.NDArray[np.float32] | npt.NDArray[np.int32] | None:
    """The values of a single-channel picture of more than 8 bits, (h, w); None for other modes."""
    if image.mode not in _DEEP_MODES:
        return None
    values = np.asarray(image)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def to_8_bits(values: npt.NDArray[np.generic]) -> U8Array:
    """16 bits by v / 257; wider integers and floats by the range that they are written for, else by their own.

    A float picture whose values lie in 0 to 1, or 0 to 255, or 0 to 65535 is taken by that scale; anything else is
    stretched from its least to its greatest value, because no decoder knows what was meant.
    """
    if values.dtype == np.uint16:
        wide = values.astype(np.uint32)
        return ((wide * 255 + 32767) // 65535).astype(np.uint8)
    exact = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(exact.min()), float(exact.max())
    if low < 0 or high > 65535:
        span = high - low
        scaled = (exact - low) * (255.0 / span) if span > 0 else np.zeros_like(exact)
    elif high <= 1 and values.dtype.kind == "f":
        scaled = exact * 255.0
    elif high <= 255:
        scaled = exact
    else:
        scaled = exact / 257.0
    return np.rint(scaled).astype(np.uint8)


def hides_low_bits(image: Image.Image, source: Source) -> bool:
    """Whether the file holds more than 8 bits a colour and its decoder gave us 8: equal pixels then prove nothing."""
    if image.mode in _DEEP_MODES:
        return False
    name, head = image.format, source.head
    if name == "PNG":
        return head[24:25] == b"\x10"
    if name == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return any(int(b) > 8 for b in (bits if isinstance(bits, tuple) else (bits,)))
    if name == "SGI":
        return head[3:4] == b"\x02" and not _sgi_is_8_bit(source)
    if name == "PPM":
        found = re.match(rb"P[36](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)", head)
        return found is not None and int(found[1]) > 255
    if name == "JPEG2000":
        return _jpeg2000_bits(head) > 8
    if name == "HEIF":
        return int(image.info.get("bit_depth", 8)) > 8
    if name == "AVIF":
        return _avif_is_deep(source)
    return name == "JXL"  # its plug-in does not say


def _sgi_is_8_bit(source: Source) -> bool:
    """Whether an uncompressed 16-bit SGI file holds bytes widened to words, as v * 257 or v * 256."""
    if source.data is None or source.head[2] != 0:
        return False
    words = np.frombuffer(source.data, dtype=np.uint8, offset=512)
    words = words[: len(words) // 2 * 2].reshape(-1, 2)
    low = words[:, 1]
    return bool((low == 0).all() or (low == words[:, 0]).all())


def _jpeg2000_bits(head: bytes) -> int:
    """Bits of the first component, of the SIZ marker (ISO/IEC 15444-1, A.5.1)."""
    at = head.find(b"\xff\x4f\xff\x51")
    return (head[at + 42] & 0x7F) + 1 if 0 <= at < len(head) - 42 else 16


def _avif_is_deep(source: Source) -> bool:
    """high_bitdepth of any av1C box (AV1 Codec ISO Media File Format Binding, 2.3.3)."""
    data = source.data if source.data is not None else source.head
    at = data.find(b"av1C")
    while 0 <= at < len(data) - 6:
        if data[at + 6] & 0x40:
            return True
        at = data.find(b"av1C", at + 4)
    return False
