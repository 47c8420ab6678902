"""The control socket's language: one JSON object a line each way, version 1.

Request: `{"v": 1, "op": "status", ...arguments}`.
Answer: `{"ok": true, ...}` or `{"ok": false, "error": "...", "hint": "..."}`.
Paths travel as base64 of their bytes under `path_b64`, because a file name need not be UTF-8.
"""

from __future__ import annotations

import base64
import json
import socket
from typing import Any

from deepdupe_daemon.errors import ControlError

__all__ = [
    "MAX_LINE_BYTES",
    "VERSION",
    "complete",
    "decode_path",
    "encode_path",
    "line_of",
    "parse",
    "read_line",
    "write_line",
]

VERSION = 1

#: longest line either side accepts: 1,000 paths of 255-byte names fit many times over
MAX_LINE_BYTES = 4 * 1024 * 1024


def encode_path(path: bytes) -> str:
    return base64.b64encode(path).decode("ascii")


def decode_path(text: object) -> bytes:
    """Raises ControlError when `text` is not base64 of an absolute path without NUL."""
    try:
        path = base64.b64decode(str(text), validate=True)
    except ValueError as bad:
        raise ControlError("a path must be base64") from bad
    if not path.startswith(b"/") or b"\0" in path:
        raise ControlError("a path must be absolute and hold no NUL byte")
    return path


def line_of(message: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def write_line(sock: socket.socket, message: dict[str, Any]) -> None:
    sock.sendall(line_of(message))


def read_line(sock: socket.socket) -> dict[str, Any] | None:
    """The next message, or None when the other side has hung up. Raises ControlError for what is no message."""
    buffer = bytearray()
    while not complete(buffer):
        part = sock.recv(65536)
        if not part:
            if buffer:
                raise ControlError("the connection broke off inside a message")
            return None
        buffer += part
    return parse(buffer)


def complete(buffer: bytearray) -> bool:
    """Whether `buffer` holds a whole message. Raises ControlError where it is longer than any message may be."""
    if len(buffer) > MAX_LINE_BYTES:
        raise ControlError(f"a message may hold at most {MAX_LINE_BYTES} bytes")
    return buffer.endswith(b"\n")


def parse(buffer: bytearray) -> dict[str, Any]:
    """The message in one line. Raises ControlError for what is none."""
    try:
        message = json.loads(buffer)
    except (ValueError, RecursionError) as bad:
        raise ControlError("a message must be one line of JSON") from bad
    if not isinstance(message, dict):
        raise ControlError("a message must be a JSON object")
    return message
