"""The quarantine folder: made private, never reached through a symbolic link, refused where others may write."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from deepdupe_daemon.act.descriptors import make_folder, open_folder, walk
from deepdupe_daemon.act.refusal import refusal
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.model import display_path

__all__ = ["QUARANTINE", "aside_name", "is_quarantine", "open_action", "open_place", "place_in", "quarantine_folder"]

#: the folder's name under a root; intake never looks into a folder whose name begins so
QUARANTINE = b".deepdupe-quarantine"

_PRIVATE = 0o700
_WRITABLE_BY_OTHERS = 0o022


def quarantine_folder(root: bytes) -> bytes:
    """Where files of `root` go when no folder is configured: on the same file system, so that a move is a rename."""
    return root.rstrip(b"/") + b"/" + QUARANTINE


def aside_name(token: str) -> bytes:
    """The private folder beside a file, for a moment, while it is carried over to another file system."""
    return QUARANTINE + b"." + token.encode("ascii")


def is_quarantine(path: bytes, places: Sequence[bytes]) -> bool:
    """Whether `path` lies, by its name, in a quarantine folder."""
    if any(part.startswith(QUARANTINE) for part in path.split(b"/")[:-1]):
        return True
    return any(path.startswith(place.rstrip(b"/") + b"/") for place in places)


@contextmanager
def open_place(place: bytes) -> Iterator[int]:
    """The quarantine folder, held open. Raises ActionRefused (unsafe-place), OSError."""
    with walk(os.path.dirname(place)) as parent_fd, place_in(parent_fd, place) as fd:
        yield fd


@contextmanager
def place_in(parent_fd: int, place: bytes, *, make: bool = False) -> Iterator[int]:
    """The quarantine folder in its parent, made where there is none and `make` is given.

    Raises ActionRefused (unsafe-place), OSError.
    """
    name = os.path.basename(place)
    try:
        fd = make_folder(name, parent_fd, _PRIVATE)[0] if make else open_folder(name, parent_fd)
    except NotADirectoryError as error:
        raise _unsafe(place, "it is no folder, or a symbolic link") from error
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            raise _unsafe(place, f"it belongs to user {status.st_uid}, and this is user {os.geteuid()}")
        if status.st_mode & _WRITABLE_BY_OTHERS:
            raise _unsafe(place, "others may write to it")
        yield fd
    finally:
        os.close(fd)


@contextmanager
def open_action(place_fd: int, token: str, path: bytes, *, make: bool = False) -> Iterator[int]:
    """The folder of one action, locked for us alone. Raises ActionRefused (busy), OSError."""
    name = os.fsencode(token)
    fd = make_folder(name, place_fd, _PRIVATE)[0] if make else open_folder(name, place_fd)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ActionRefused(
                "another program is at it", kind="busy", retry=True, where=display_path(path)
            ) from error
        except OSError as error:
            raise refusal(error, path) from error
        yield fd
    finally:
        os.close(fd)


def _unsafe(place: bytes, why: str) -> ActionRefused:
    return ActionRefused(
        f"the quarantine folder cannot be used: {why}",
        kind="unsafe-place",
        where=display_path(place),
        hint="it must be a folder of the user that the daemon runs as, writable by nobody else",
    )
