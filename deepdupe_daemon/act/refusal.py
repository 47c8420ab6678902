"""What an OSError means for an action: a stable word, a sentence, and whether later can help."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

from deepdupe_daemon.errors import ActionRefused, ActionUnfinished
from deepdupe_daemon.model import display_path

__all__ = ["explained", "refusal", "stopped", "unfinished"]

#: errno -> (kind, sentence, whether a retry can help)
_MEANINGS = MappingProxyType(
    {
        errno.ENOENT: ("gone", "it is no longer there", False),
        errno.ESTALE: ("gone", "it is no longer there", False),
        errno.ELOOP: ("symlink", "a symbolic link is on the way to it", False),
        errno.ENOTDIR: ("symlink", "a symbolic link or a file is on the way to it", False),
        errno.EACCES: ("not-permitted", "permission is denied", False),
        errno.EPERM: ("not-permitted", "it is not permitted: another's file, or one that is set immutable", False),
        errno.EROFS: ("read-only", "the file system is read-only", True),
        errno.ENOSPC: ("no-space", "the disk is full", True),
        errno.EDQUOT: ("no-space", "the disk quota is used up", True),
        errno.ENAMETOOLONG: ("name-too-long", "the name is too long there", False),
        errno.EEXIST: ("name-taken", "a file of that name is there", False),
        errno.ENXIO: ("not-regular", "it is no regular file", False),
        errno.EMFILE: ("io", "too many files are open", True),
        errno.ENFILE: ("io", "too many files are open", True),
    }
)


def refusal(error: OSError, path: bytes, *, of: str = "") -> ActionRefused:
    """The refusal that follows from `error` at `path`. `of`: "keeper" or "place" where it is the copy to keep, or the
    quarantine folder, that failed."""
    kind, sentence, retry = _MEANINGS.get(error.errno or 0, ("io", f"it cannot be handled: {error.strerror}", True))
    if of == "keeper":
        kind = "keeper-gone" if kind in ("gone", "symlink") else "keeper-unreadable"
        sentence = f"the copy to keep: {sentence}"
    elif of == "place":
        kind, retry = {"gone": ("offline", True), "symlink": ("unsafe-place", False)}.get(kind, (kind, retry))
        sentence = f"the quarantine folder: {sentence}"
    return ActionRefused(sentence, kind=kind, retry=retry, where=display_path(path))


@contextmanager
def explained(path: bytes, *, of: str = "") -> Iterator[None]:
    """Turns an OSError of the block into the refusal that it means for the file at `path`."""
    try:
        yield
    except OSError as error:
        raise refusal(error, path, of=of) from error


@contextmanager
def unfinished(path: bytes) -> Iterator[None]:
    """Turns an OSError of the block, or a refusal, into ActionUnfinished: there is no way back from here."""
    try:
        yield
    except (OSError, ActionRefused) as error:
        raise stopped(error, path) from error


def stopped(error: OSError | ActionRefused, path: bytes) -> ActionUnfinished:
    """That `error` left the file at `path` on its way."""
    why = error.what if isinstance(error, ActionRefused) else error.strerror
    return ActionUnfinished(
        f"it is on its way between two folders: {why}",
        where=display_path(path),
        hint="it is whole in one of them, and the next attempt goes on",
    )
