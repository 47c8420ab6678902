"""Where Prometheus asks: HTTP on a Unix socket or on a loopback port, one request at a time, in a thread of its own."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from deepdupe_daemon.errors import ConfigError

__all__ = ["MetricsEndpoint"]

#: an asker that is slower than this is hung up on
_PATIENCE_S = 5.0


class MetricsEndpoint:
    """`start` and `stop` are the supervising thread's."""

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        """`listen`: `unix:/path` or `host:port`, as the configuration has it."""
        self._listen = listen
        self._path = Path(listen.removeprefix("unix:")) if listen.startswith("unix:") else None
        self._app = make_wsgi_app(registry)
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The TCP port; 0 for a Unix socket."""
        return self._server.server_port if self._server is not None else 0

    def start(self) -> None:
        """Raises ConfigError where the address cannot be had."""
        try:
            self._server = self._bound()
        except OSError as error:
            hint = (
                "the unit's sandbox has no network: use unix:/run/deepdupe-daemon/metrics.sock, or open it in a drop-in"
            )
            raise ConfigError(
                f"found {self._listen!r}, where nothing can listen: {error.strerror}", where="metrics.listen", hint=hint
            ) from error
        self._server.set_app(self._app)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(2 * _PATIENCE_S)
            self._server.server_close()
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _bound(self) -> WSGIServer:
        if self._path is None:
            host, _, port = self._listen.rpartition(":")
            kind = _Tcp6 if ":" in host else WSGIServer
            return kind((host.strip("[]"), int(port)), _Handler)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        server = _Unix(str(self._path), _Handler)  # type: ignore[arg-type] # an address of AF_UNIX is a path
        os.chmod(self._path, 0o660)
        return server


class _Tcp6(WSGIServer):
    address_family = socket.AF_INET6


class _Unix(WSGIServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("localhost", 0)


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, *_arguments: Any) -> None:
        """A request is no event."""
