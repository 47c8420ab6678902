"""A socket of this machine alone, and the server on it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from deepdupe_daemon.errors import DeepDupeError
from deepdupe_daemon.model import display_path

__all__ = ["loopback_socket", "serve", "unix_socket"]

_STOP_S = 3
_WAITING = 64


def loopback_socket(port: int) -> socket.socket:
    """Bound to 127.0.0.1; port 0 takes a free one. Raises DeepDupeError."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        bound.listen(_WAITING)  # from now on, so that whoever reads the address may ask at once
    except OSError as error:
        bound.close()
        where, hint = f"127.0.0.1:{port}", "--port 0 takes a free one"
        raise DeepDupeError(f"cannot listen: {error.strerror}", where=where, hint=hint) from error
    return bound


def unix_socket(path: Path) -> socket.socket:
    """Bound to `path`, for this user alone, in place of one that nobody listens on. Raises DeepDupeError."""
    where = display_path(os.fsencode(path))
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        _remove_dead(path)
        bound.bind(os.fspath(path))
        bound.listen(_WAITING)
    except OSError as error:
        bound.close()
        raise DeepDupeError(f"cannot listen: {error.strerror}", where=where, hint="--socket names another") from error
    finally:
        os.umask(before)
    return bound


def serve(app: ASGIApp, bound: socket.socket) -> None:
    """Until SIGINT or SIGTERM. Writes no log: addresses hold the token."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_STOP_S,
    )
    with bound:
        uvicorn.Server(config).run(sockets=[bound])


def _remove_dead(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # somebody's file: bind says that the name is taken
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as knock:
        try:
            knock.connect(os.fspath(path))
        except ConnectionRefusedError:
            os.unlink(path)
