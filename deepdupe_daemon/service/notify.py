"""sd_notify(3): how the service tells systemd what is true. A datagram, so it needs no library."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from typing import Self

__all__ = ["Notifier"]


class Notifier:
    """Sends states to `NOTIFY_SOCKET`; without one every call does nothing. Stateless, any thread may use it."""

    def __init__(self, address: str | None, *, watchdog_interval_s: float | None = None) -> None:
        """`address`: a path, or an abstract name that begins with `@`. `watchdog_interval_s`: systemd's patience."""
        self._address = address
        self.watchdog_interval_s = watchdog_interval_s

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int) -> Self:
        """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (a ping is wanted only of that process)."""
        interval_s: float | None = None
        usec = environ.get("WATCHDOG_USEC", "")
        if usec.isdigit() and int(usec) > 0 and environ.get("WATCHDOG_PID", str(pid)) == str(pid):
            interval_s = int(usec) / 1e6
        return cls(environ.get("NOTIFY_SOCKET") or None, watchdog_interval_s=interval_s)

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", f"STATUS={status}")

    def reloading(self, status: str, monotonic_s: float) -> None:
        """A reload begins at `monotonic_s`; `ready` ends it. systemd 253 and later want the moment, 252 ignores it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={round(monotonic_s * 1e6)}", f"STATUS={status}")

    def alive(self) -> None:
        """The watchdog's ping. Call it only where progress of every stage has just been seen."""
        self._send("WATCHDOG=1")

    def hung(self, status: str) -> None:
        """A stage hangs: systemd need not wait for the pings to stay away."""
        self._send("WATCHDOG=trigger", f"STATUS={status}")

    def extend_start(self, timeout_s: float) -> None:
        """Ask for `timeout_s` more seconds before start-up (or stop) counts as hung."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(timeout_s * 1e6)}")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(line.replace("\n", " ") for line in lines).encode("utf-8", "backslashreplace")
        # nobody there: a shell that was once below a service hands on a stale NOTIFY_SOCKET, and that ends no daemon
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
            contextlib.suppress(OSError),
        ):
            sock.sendto(text, address)
