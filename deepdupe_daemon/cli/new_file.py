"""A file that appears whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from deepdupe_daemon.errors import ConfigError
from deepdupe_daemon.model import display_path

__all__ = ["write_new_file"]


def write_new_file(path: Path, text: str, *, overwrite: bool) -> None:
    """Write `text` beside `path`, sync it, and give it its name (mode 0644). Raises ConfigError, also where a file of
    that name has appeared meanwhile and `overwrite` is False."""
    where = display_path(os.fsencode(path))
    partial = f"{os.fspath(path)}.{os.getpid()}.part"
    try:
        if not path.parent.is_dir():
            os.makedirs(path.parent)
        with open(partial, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            _name(partial, path, overwrite=overwrite)
        finally:
            if os.path.lexists(partial):
                os.unlink(partial)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=where, hint="--config names another") from error


def _name(partial: str, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        os.replace(partial, path)
        return
    try:
        os.link(partial, path)  # unlike a rename, a link never replaces a file that has just appeared
    except FileExistsError as error:
        where = display_path(os.fsencode(path))
        raise ConfigError("there is a file already", where=where, hint="--overwrite replaces it") from error
