"""A port of this machine that leads to a Unix socket, as `ssh -L` makes one."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Tunnel"]


class Tunnel:
    """Listens on 127.0.0.1 while it is entered. Its threads and sockets end with it."""

    def __init__(self, to: Path) -> None:
        self._to = str(to)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listening]  # the accepting thread's, until it has ended
        self._passing: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="tunnel")

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _wake(self._listening)
        self._accepting.join()
        for each in self._open:
            _wake(each)
        for thread in self._passing:
            thread.join()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return  # it is over
            far = socket.socket(socket.AF_UNIX)
            self._open += [near, far]
            try:
                far.connect(self._to)
            except OSError:
                _wake(near)
                continue
            for source, target in ((near, far), (far, near)):
                self._passing.append(threading.Thread(target=_pass_on, args=(source, target), name="tunnel"))
                self._passing[-1].start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _wake(target, socket.SHUT_WR)


def _wake(each: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """Whoever waits for it is told that nothing more comes."""
    with suppress(OSError):  # it is so already
        each.shutdown(how)
