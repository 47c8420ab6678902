"""Whether a file breaks off before its own end: what the container's lengths say, without decoding anything."""

from __future__ import annotations

import struct
import zlib

from deepdupe_daemon.vision.decode.source import Source

__all__ = [
    "BrokenChunk",
    "breaks_off",
    "jpeg_without_extras",
    "lacks_only_end_mark",
    "mended_png",
    "odd_jpeg",
    "riff_chunks",
]

#: boxes and chunks looked at before we stop caring
_MAX_PARTS = 10_000
#: an end mark may be followed by a little padding or metadata
_TAIL_BYTES = 4096


def breaks_off(source: Source, name: str) -> bool:
    """True where the container of Pillow format `name` promises more bytes than there are, or lacks its end mark."""
    data = source.data if source.data is not None else source.head
    if name == "PNG":
        return b"IEND" not in source.tail(_TAIL_BYTES)
    if name in {"JPEG", "MPO"} or (name == "JPEG2000" and data[:2] == b"\xff\x4f"):
        return b"\xff\xd9" not in source.tail(_TAIL_BYTES)
    if name == "WEBP":
        return len(data) < 12 or 8 + int.from_bytes(data[4:8], "little") > source.size
    if name in {"AVIF", "HEIF", "JPEG2000", "JXL"} and data[4:8] in {b"ftyp", b"jP  ", b"JXL "}:
        return source.data is not None and _boxes_break_off(data)
    if name == "TIFF":
        return source.data is not None and _tiff_breaks_off(source.data)
    if name == "GIF":
        return b"\x3b" not in source.tail(_TAIL_BYTES)
    return False


def _boxes_break_off(data: bytes) -> bool:
    """Walk the top-level boxes of an ISO base media file (ISO/IEC 14496-12, 4.2)."""
    at = 0
    for _ in range(_MAX_PARTS):
        if at == len(data):
            return False
        if at + 8 > len(data):
            return True
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < 8:  # 0: to the end of the file; the rest are no lengths
            return False
        at += length
    return False


_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 13: 4, 16: 8}
_TIFF_OFFSETS, _TIFF_COUNTS = {273, 324}, {279, 325}


def _tiff_breaks_off(data: bytes) -> bool:
    """Whether the first directory, or a strip or tile that it names, lies beyond the end (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] != 42:
        return False  # BigTIFF: its decoder is left to say it
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
        arrays: dict[bool, list[int]] = {}
        for entry in range(count):
            tag, kind, values = struct.unpack_from(order + "HHI", data, at + 2 + 12 * entry)
            if tag in _TIFF_OFFSETS | _TIFF_COUNTS and kind in {3, 4} and values <= len(data):
                where = at + 2 + 12 * entry + 8
                if values * _TIFF_SIZES[kind] > 4:
                    (where,) = struct.unpack_from(order + "I", data, where)
                form = f"{order}{values}{'H' if kind == 3 else 'I'}"
                arrays[tag in _TIFF_OFFSETS] = list(struct.unpack_from(form, data, where))
    except struct.error:
        return True
    return any(
        offset + length > len(data) for offset, length in zip(arrays.get(True, ()), arrays.get(False, ()), strict=False)
    )


class BrokenChunk(ValueError):
    """A chunk that the picture cannot do without is damaged."""


def mended_png(data: bytes) -> bytes:
    """`data`, without the damaged chunks that a PNG can do without (PNG 1.2, 3.4: every reader is to go on without
    them).

    Raises BrokenChunk where the checksum of any other chunk is wrong: Pillow does not check those of the pixels, and
    would give a picture with garbage in it. Stops at the first chunk that is not all there: that is the decoder's to
    tell.
    """
    kept, at, begun = [data[:8]], 8, 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end > len(data):
            break
        body = data[at + 4 : end - 4]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            if not data[at + 4] & 0x20:
                raise BrokenChunk(f"the checksum of {body[:4]!r} is wrong")
            kept.append(data[begun:at])
            begun = end
        if body[:4] == b"IEND":
            break
        at = end
    return data if begun == 8 else b"".join([*kept, data[begun:]])


#: JFIF, ICC profile and Adobe's colour transform: the segments without which a JPEG looks different
_LOOKS = frozenset({0xE0, 0xE2, 0xEE})


def jpeg_without_extras(data: bytes) -> bytes:
    """`data` without comments and application segments (EXIF, XMP, ...), but for those that decide how it looks."""
    kept, at, begun = [data[:2]], 2, 2
    for _ in range(_MAX_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] in {0xDA, 0xD9}:
            break
        marker = data[at + 1]
        end = at + (1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
        if (0xE0 <= marker <= 0xEF or marker == 0xFE) and marker not in _LOOKS:
            kept.append(data[begun:at])
            begun = end
        at = end
    return b"".join([*kept, data[begun:]])


def lacks_only_end_mark(data: bytes) -> bool:
    """Whether a JPEG is of one sequential scan and has no end mark: then the end mark may be all that it lacks.

    A picture of several scans may lack some of them without any trace; it is never taken for whole.
    """
    components, at = 0, 2
    for _ in range(_MAX_PARTS):
        if at + 10 > len(data) or data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker in {0xC0, 0xC1}:
            components = data[at + 9]
        elif marker == 0xDA:
            return components > 0 and data[at + 4] == components and b"\xff\xd9" not in data[at:]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def riff_chunks(data: bytes) -> set[bytes]:
    """The names of the chunks of a RIFF file."""
    names, at = set(), 12
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            break
        name, length = struct.unpack_from("<4sI", data, at)
        names.add(name)
        at += 8 + length + (length & 1)
    return names


def odd_jpeg(data: bytes) -> str | None:
    """The name of a JPEG process that no decoder here has (ITU-T T.81, table B.1), None for the common ones."""
    at = 2
    for _ in range(_MAX_PARTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 5 > len(data):
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x00 or 0xD0 <= marker <= 0xD9:
            at += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            bits = data[at + 4]
            if marker in {0xC3, 0xC7, 0xCB, 0xCF}:
                return "lossless JPEG"
            if marker > 0xC8:
                return "arithmetic JPEG"
            return f"{bits}-bit JPEG" if bits != 8 else None
        if marker == 0xDA:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
