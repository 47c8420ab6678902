"""How the command line asks the living daemon."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any, Self

from deepdupe_daemon.config import DEFAULT_STATE_DIR, Config
from deepdupe_daemon.errors import ControlError
from deepdupe_daemon.service import protocol

__all__ = ["ControlClient", "socket_path"]


#: what RuntimeDirectory= of the units makes, beside StateDirectory=
RUNTIME_DIR = Path("/run/deepdupe-daemon")


def socket_path(config: Config) -> Path:
    """Where the daemon of this configuration listens: `control.sock` in its runtime dir, else in its state dir.

    A service of the machine has its runtime dir in /run, from before it starts until it has ended, whether or not the
    configuration names one: /run/deepdupe-daemon/x for /var/lib/deepdupe-daemon/x.
    """
    folder = config.runtime_dir
    if folder is None and config.state_dir.is_relative_to(DEFAULT_STATE_DIR):
        folder = RUNTIME_DIR / config.state_dir.relative_to(DEFAULT_STATE_DIR)
        folder = folder if folder.is_dir() else None
    return (folder or config.state_dir) / "control.sock"


class ControlClient:
    """One request, one connection. Owned by the caller."""

    def __init__(self, path: Path, *, timeout_s: float = 120.0) -> None:
        """`timeout_s`: how long one request may take; a `check` waits for decoding and forward."""
        self._path = path
        self._timeout_s = timeout_s

    @classmethod
    def find(cls, config: Config) -> Self | None:
        """The client of the daemon that runs with this configuration, or None when none answers."""
        client = cls(socket_path(config))
        try:
            client._connect().close()
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as failed:
            raise ControlError(
                f"cannot speak to the daemon: {failed.strerror}",
                where=str(client._path),
                hint="run the command as the daemon's user, or with sudo",
            ) from failed
        return client

    def request(self, op: str, **arguments: Any) -> dict[str, Any]:
        """The daemon's answer. Raises ControlError when it refuses, or cannot be reached, or hangs up."""
        try:
            with self._connect() as sock:
                protocol.write_line(sock, {"v": protocol.VERSION, "op": op, **arguments})
                answer = protocol.read_line(sock)
        except TimeoutError as late:
            raise ControlError(f"no answer to `{op}` within {self._timeout_s:.0f} s", where=str(self._path)) from late
        except OSError as failed:
            raise ControlError(f"cannot speak to the daemon: {failed.strerror}", where=str(self._path)) from failed
        if answer is None:
            raise ControlError("the daemon hung up before it answered", where=str(self._path))
        if not answer.get("ok"):
            raise ControlError(str(answer.get("error", "refused")), where=answer.get("where"), hint=answer.get("hint"))
        return answer

    def _connect(self) -> socket.socket:
        """Where many ask at once this waits for its turn: the kernel's own time limit, since Python's would make the
        socket one that does not block, and such a connect(2) fails at once while the listen queue is full.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        seconds, rest = divmod(self._timeout_s, 1.0)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(seconds), int(rest * 1e6)))
            sock.connect(os.fsencode(self._path))
            sock.settimeout(self._timeout_s)
        except BlockingIOError as late:
            sock.close()
            raise TimeoutError(late.errno, "too many others ask") from late
        except BaseException:
            sock.close()
            raise
        return sock
