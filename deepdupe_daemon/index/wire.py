"""Messages between the writer and the process that holds Chroma: a JSON header, then raw bytes."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

__all__ = ["Message", "receive", "send"]

Message = dict[str, Any]

_LENGTHS = struct.Struct("<II")  # of the header and of the payload
_LARGEST_BYTES = 256 << 20


def send(peer: socket.socket, header: Message, payload: bytes = b"") -> None:
    """Raises OSError when the other side is gone, ValueError for a message that `receive` would refuse."""
    text = json.dumps(header, separators=(",", ":")).encode()
    if max(len(text), len(payload)) > _LARGEST_BYTES:
        raise ValueError(f"a message of {len(text)} + {len(payload)} bytes is too large")
    peer.sendall(_LENGTHS.pack(len(text), len(payload)) + text)
    if payload:
        peer.sendall(payload)


def receive(peer: socket.socket) -> tuple[Message, bytes]:
    """Raises EOFError when the other side is gone, TimeoutError after the socket's timeout, ValueError for nonsense."""
    header_bytes, payload_bytes = _LENGTHS.unpack(_exactly(peer, _LENGTHS.size))
    if max(header_bytes, payload_bytes) > _LARGEST_BYTES:
        raise ValueError(f"a message claims {header_bytes} + {payload_bytes} bytes")
    header = json.loads(_exactly(peer, header_bytes))
    return header, _exactly(peer, payload_bytes)


def _exactly(peer: socket.socket, size: int) -> bytes:
    got = bytearray(size)
    view = memoryview(got)
    while view:
        try:
            count = peer.recv_into(view)
        except ConnectionResetError:
            count = 0
        if not count:
            raise EOFError("the other side is gone")
        view = view[count:]
    return bytes(got)
