"""Paths in JSON."""

from __future__ import annotations

import base64

__all__ = ["path_fields"]


def path_fields(name: str, path: bytes) -> dict[str, str]:
    """`{name: path}`; where the path is no UTF-8, escaped as people see it, and exactly as `<name>_b64` beside it."""
    from deepdupe_daemon.model import display_path

    try:
        return {name: path.decode()}
    except UnicodeDecodeError:
        return {name: display_path(path), f"{name}_b64": base64.b64encode(path).decode("ascii")}
