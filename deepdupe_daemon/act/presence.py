"""Whether a folder is there, or only the empty mount point of a file system that is away."""

from __future__ import annotations

import errno
import os

from deepdupe_daemon.act.descriptors import walk
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import Intent
from deepdupe_daemon.model import display_path

__all__ = ["place_is_there", "refuse_where_away", "root_is_there"]


def root_is_there(intent: Intent) -> bool:
    """Whether the root of the action's files is there. Raises OSError.

    One that is empty is, as long as it lies on the file system that the files lay on.
    """
    try:
        with walk(intent.files[0].file.root) as fd:
            return os.fstat(fd).st_dev == intent.files[0].file.identity.dev or _is_used(fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise


def place_is_there(intent: Intent, place_fd: int | None) -> bool:
    """Whether the quarantine folder is there, of an action whose root is. `place_fd` None: there is no such folder.

    One below the root is, or was not made yet; one elsewhere is, where anything lies in it. Raises OSError.
    """
    if os.path.dirname(intent.place) == intent.files[0].file.root:
        return True
    return place_fd is not None and _is_used(place_fd)


def refuse_where_away(intent: Intent) -> None:
    """Raises ActionRefused where files would come back into an empty mount point, to be hidden by the next mount."""
    if not root_is_there(intent):
        raise ActionRefused(
            "its folder is away, or empty and on another file system than before",
            kind="offline",
            retry=True,
            where=display_path(intent.files[0].file.root),
            hint="mount it; if it is meant to be empty, put any file there",
        )


def _is_used(fd: int) -> bool:
    with os.scandir(fd) as entries:
        return next(entries, None) is not None
