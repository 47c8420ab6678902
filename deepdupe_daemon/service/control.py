"""The control socket: the daemon's side."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deepdupe_daemon.errors import ControlError, DeepDupeError
from deepdupe_daemon.service import protocol

__all__ = ["ControlServer", "Operation"]

#: takes the request's arguments, returns the answer's fields; may raise DeepDupeError
Operation = Callable[[Mapping[str, Any]], dict[str, Any]]

#: how many requests are answered at once; more wait in the listen queue
ANSWERING_THREADS = 4


class ControlServer:
    """Answers requests on a Unix socket. Its own accepting thread and a few answering ones; never the pipeline's.

    Only root and the daemon's own user are answered: the kernel says who asks (SO_PEERCRED), the mode of the socket is
    0600 as well.
    """

    def __init__(self, path: Path, operations: Mapping[str, Operation], *, read_timeout_s: float = 10.0) -> None:
        self._path = path
        self._operations = dict(operations)
        self._read_timeout_s = read_timeout_s
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._pool = ThreadPoolExecutor(max_workers=ANSWERING_THREADS, thread_name_prefix="control")

    def start(self) -> None:
        """Binds the socket. The state lock is held by now, so a socket file in the way is a dead daemon's."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            listener.bind(os.fsencode(self._path))
        except OSError as failed:
            listener.close()
            raise ControlError(
                f"the control socket cannot be made: {failed.strerror or failed}",
                where=str(self._path),
                hint="a socket's path may hold 107 bytes; set `runtime_dir` to a shorter one",
            ) from failed
        os.chmod(self._path, 0o600)
        listener.listen(16)
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, name="control-accept", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._listener is not None:
            self._path.unlink(missing_ok=True)
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        if self._thread is not None:
            self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed by stop(): the only way out of a blocking accept
            connection.settimeout(self._read_timeout_s)
            self._pool.submit(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = protocol.read_line(connection)
                if request is None:
                    return
                answer = self._answer(connection, request)
                connection.settimeout(self._read_timeout_s)
                protocol.write_line(connection, answer)
            except (OSError, ControlError):
                return  # the asker went away or spoke nonsense; nobody is left to tell

    def _answer(self, connection: socket.socket, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            _check_peer(connection)
            if request.get("v") != protocol.VERSION:
                raise ControlError(
                    f"this daemon speaks version {protocol.VERSION} of the control protocol",
                    hint="use the command of the same installation as the daemon",
                )
            operation = self._operations.get(str(request.get("op")))
            if operation is None:
                raise ControlError(f"unknown operation {request.get('op')!r}")
            return {"ok": True, **operation(request)}
        except DeepDupeError as refused:
            return {"ok": False, "error": refused.what, "where": refused.where, "hint": refused.hint}


def _check_peer(connection: socket.socket) -> None:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    if uid not in (0, os.geteuid()):
        raise ControlError(f"user {uid} may not control this daemon", hint="run the command as the daemon's user")
