"""The EXIF facts that decide vetoes, bundles and keepers (EXIF 2.32; Apple's maker note by common knowledge)."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import ExifTags, Image

from deepdupe_daemon.model import ExifFacts

__all__ = ["exif_facts", "orientation_of"]

_MAKE, _MODEL, _ORIENTATION = 0x010F, 0x0110, 0x0112
_EXPOSURE_TIME, _CAPTURED, _EXPOSURE_BIAS, _MAKER_NOTE = 0x829A, 0x9003, 0x9204, 0x927C
_IMAGE_NUMBER, _SUBSEC, _EXPOSURE_MODE, _UNIQUE_ID = 0x9211, 0x9291, 0xA402, 0xA420
_APPLE_SIGNATURE = b"Apple iOS\x00\x00\x01MM"
_APPLE_BURST, _APPLE_CONTENT = 0x000B, 0x0011
_MAX_TEXT = 64
_MAX_TAGS = 512


def orientation_of(image: Image.Image) -> int:
    """EXIF or XMP orientation, 1 to 8; 1 where the file says nothing sensible."""
    if image.format == "JXL":
        return 1  # its decoder turns the picture as the codestream says, and the tag is to be ignored (ISO/IEC 18181-2)
    value = _quietly(lambda: image.getexif().get(_ORIENTATION, 1))
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exif_facts(image: Image.Image) -> ExifFacts:
    """What the tags say; broken tags count as absent."""
    exif = _quietly(image.getexif)
    if not exif:
        return ExifFacts()
    details: Mapping[int, Any] = _quietly(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {}
    place: Mapping[int, Any] = _quietly(lambda: exif.get_ifd(ExifTags.IFD.GPSInfo)) or {}
    apple = dict(_apple_texts(details.get(_MAKER_NOTE)))
    return ExifFacts(
        captured_at=_text(details.get(_CAPTURED)),
        subsec=_text(details.get(_SUBSEC)),
        make=_text(exif.get(_MAKE)),
        camera=_text(exif.get(_MODEL)),
        sequence_number=_whole(details.get(_IMAGE_NUMBER)),
        exposure_bias_ev=_number(details.get(_EXPOSURE_BIAS)),
        exposure_mode=_whole(details.get(_EXPOSURE_MODE)),
        exposure_time_s=_number(details.get(_EXPOSURE_TIME)),
        unique_id=_text(details.get(_UNIQUE_ID)),
        content_id=apple.get(_APPLE_CONTENT),
        burst_id=apple.get(_APPLE_BURST),
        tag_count=min(len(exif) + len(details) + len(place), 65_535),
    )


def _quietly(read: Any) -> Any:
    # Pillow's EXIF reader raises whatever a malformed tag makes its struct, dict and int calls raise
    try:
        return read()
    except Exception:  # noqa: BLE001
        return None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    text = "".join(c for c in value.split("\x00")[0] if c.isprintable()).strip()[:_MAX_TEXT]
    return text or None


def _number(value: object) -> float | None:
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        number = float(value)  # type: ignore[arg-type] # anything that floats: int, IFDRational
        if abs(number) < 1e9:  # also false for NaN
            return number
    return None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) and number >= 0 else None


def _apple_texts(note: object) -> Iterator[tuple[int, str]]:
    """The text tags of an Apple maker note: a big-endian IFD whose offsets count from the note's beginning."""
    if not isinstance(note, bytes) or not note.startswith(_APPLE_SIGNATURE):
        return
    with contextlib.suppress(struct.error):
        at = len(_APPLE_SIGNATURE)
        (count,) = struct.unpack_from(">H", note, at)
        for index in range(min(count, _MAX_TAGS)):
            tag, kind, length, offset = struct.unpack_from(">HHII", note, at + 2 + 12 * index)
            if kind == 2 and tag in {_APPLE_BURST, _APPLE_CONTENT} and length <= 256:
                start = offset if length > 4 else at + 2 + 12 * index + 8
                text = _text(note[start : start + length])
                if text:
                    yield tag, text
