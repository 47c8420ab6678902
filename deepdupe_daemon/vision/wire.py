"""Messages between the daemon and a worker: one JSON object a packet, open files beside it.

What comes from a worker may have been written by whoever made the picture that it decodes, so it is JSON, bounded, and
every value is checked for type and range before it is believed. Nothing is ever unpickled.
"""

from __future__ import annotations

import base64
import json
import math
import select
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deepdupe_daemon.model import Comparison, ExifFacts, ImageFacts, InputSpec

__all__ = [
    "PART_BYTES",
    "Garbled",
    "Line",
    "comparison_from_wire",
    "digest_from_wire",
    "facts_from_wire",
    "facts_to_wire",
    "part_from_wire",
    "spec_from_wire",
    "spec_to_wire",
    "text_from_wire",
    "whole_from_wire",
]

MAX_MESSAGE_BYTES = 64 * 1024
#: of a picture in one message, which holds it as base64
PART_BYTES = 45_000
_MAX_FDS = 2
_MAX_TEXT = 400
_MAX_SIDE_PX = 1 << 31

#: the kernel's word that a packet, or the files beside it, did not fit
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)

Message = dict[str, Any]


class Garbled(Exception):
    """The other end sent what it must not send."""


class Line:
    """One end of a socket pair that keeps packets apart. Used by one thread."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        # poll, not select: a service may hold more than 1,024 files
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Raises OSError where the other end is gone."""
        packet = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
        if len(packet) > MAX_MESSAGE_BYTES:
            raise Garbled(f"a message of {len(packet)} bytes, {MAX_MESSAGE_BYTES} are sent at the most")
        socket.send_fds(self._end, [packet], list(fds))

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message, None where the other end is gone. Raises Garbled, TimeoutError, OSError."""
        message, fds = self.receive_with_files(timeout_s)
        if fds:
            for fd in fds:
                socket.close(fd)
            raise Garbled("files where none were expected")
        return message

    def receive_with_files(self, timeout_s: float | None = None) -> tuple[Message | None, list[int]]:
        """`receive`, and the files that came along, which are the caller's to close."""
        if timeout_s is not None and not self._poll.poll(max(0.0, timeout_s) * 1000):
            raise TimeoutError
        packet, fds, flags, _address = socket.recv_fds(self._end, MAX_MESSAGE_BYTES, _MAX_FDS)
        try:
            return _parsed(packet, flags), fds
        except BaseException:
            for fd in fds:
                socket.close(fd)
            raise

    def close(self) -> None:
        self._end.close()


def _parsed(packet: bytes, flags: int) -> Message | None:
    if flags & _CUT:
        raise Garbled("a message that is too long")
    if not packet:
        return None
    try:
        message = json.loads(packet.decode())
    except (ValueError, RecursionError) as error:
        raise Garbled(f"no message: {error}") from error
    if not isinstance(message, dict):
        raise Garbled("no object")
    return message


def text_from_wire(value: object, limit: int = _MAX_TEXT) -> str:
    """Printable text: nothing a terminal or a log could act on, no lone surrogates."""
    if not isinstance(value, str) or len(value) > limit or not value.isprintable():
        raise Garbled("no clean text")
    return value


def whole_from_wire(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Garbled(f"no number from {low} to {high}")
    return value


def _number(value: object) -> float:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return float(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise Garbled("no finite number")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Garbled("no truth value")
    return value


def digest_from_wire(value: object, size: int = 32) -> bytes:
    """`size` bytes of hex."""
    if not isinstance(value, str) or len(value) != 2 * size:
        raise Garbled("no digest")
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise Garbled("no digest") from error


def part_from_wire(value: object) -> bytes:
    """A part of a picture."""
    if not isinstance(value, str):
        raise Garbled("no part of a picture")
    try:
        part = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise Garbled("no part of a picture") from error
    if not 0 < len(part) <= PART_BYTES:
        raise Garbled(f"a part of {len(part)} bytes")
    return part


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Garbled("no object")
    return value


def spec_to_wire(spec: InputSpec) -> Message:
    return asdict(spec)


def spec_from_wire(raw: Mapping[str, Any]) -> InputSpec:
    return InputSpec(**raw)


def facts_to_wire(facts: ImageFacts) -> Message:
    return asdict(facts)


def facts_from_wire(value: object) -> ImageFacts:
    """Raises Garbled where anything is missing, unknown, of a wrong type or out of range."""
    raw = _object(value)
    try:
        return ImageFacts(
            width_px=whole_from_wire(raw["width_px"], 1, _MAX_SIDE_PX),
            height_px=whole_from_wire(raw["height_px"], 1, _MAX_SIDE_PX),
            format=text_from_wire(raw["format"], 16),
            mode=text_from_wire(raw["mode"], 16),
            frames=whole_from_wire(raw["frames"], 1, 1_000_000),
            has_alpha=_flag(raw["has_alpha"]),
            lossless=_flag(raw["lossless"]),
            orientation=whole_from_wire(raw["orientation"], 1, 8),
            exif=_exif_from_wire(raw["exif"]),
        )
    except KeyError as error:
        raise Garbled(f"no {error}") from error


_EXIF_TEXTS = ("captured_at", "subsec", "make", "camera", "unique_id", "content_id", "burst_id")
_EXIF_WHOLES = ("sequence_number", "exposure_mode")
_EXIF_NUMBERS = ("exposure_bias_ev", "exposure_time_s")


def _exif_from_wire(value: object) -> ExifFacts:
    raw = _object(value)
    known: dict[str, Any] = {"tag_count": whole_from_wire(raw["tag_count"], 0, 65_535)}
    for name in _EXIF_TEXTS:
        known[name] = None if raw[name] is None else text_from_wire(raw[name], 64)
    for name in _EXIF_WHOLES:
        known[name] = None if raw[name] is None else whole_from_wire(raw[name], 0, 1 << 40)
    for name in _EXIF_NUMBERS:
        known[name] = None if raw[name] is None else _number(raw[name])
    return ExifFacts(**known)


def comparison_from_wire(value: object) -> Comparison:
    """Raises Garbled."""
    raw = dict(_object(value))
    try:
        text_from_wire(raw.get("transform", ""))
        text_from_wire(raw.get("transform_back", ""))
        text_from_wire(raw.get("reason", ""))
        tiles = [raw[name] for name in ("worst_tile", "worst_tile_of_b") if raw.get(name) is not None]
        for number in (
            raw["score"],
            *_object(raw.get("measures", {})).values(),
            *(part for tile in tiles for part in tile),
        ):
            _number(number)
        for name in raw.get("measures", {}):
            text_from_wire(name, 64)
        if any(len(tile) != 4 for tile in tiles):
            raise Garbled("no tile")
        return Comparison.from_dict(raw)
    except (KeyError, TypeError, ValueError) as error:
        raise Garbled(f"no comparison: {error}") from error
