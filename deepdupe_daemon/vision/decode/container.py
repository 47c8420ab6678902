"""Whether a file breaks off before its own end: what the container's lengths say, without decoding anything."""

from __future__ import annotations

import struct

from deepdupe_daemon.vision.decode.source import Source

__all__ = ["breaks_off", "odd_jpeg", "riff_chunks"]

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
