"""Where the files of an open action lie just now: recovery believes the disk, and nothing that was written before."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from deepdupe_daemon.act.descriptors import names_below, open_folder, walk
from deepdupe_daemon.act.held import digest_of, hold_in

__all__ = ["Lying", "lying", "open_parent"]

#: a folder on the way is gone, or became something else
_NO_WAY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class Lying:
    """A regular file at a name. `right`: it holds the bytes that it should."""

    dev: int
    ino: int
    right: bool


def lying(name: bytes, folder_fd: int | None, digest: bytes) -> Lying | None:
    """What lies at `name`, read whole; None where nothing does, or no folder is there. Raises OSError.

    What is no regular file lies there with the wrong bytes.
    """
    if folder_fd is None:
        return None
    try:
        with hold_in(folder_fd, name, name) as held:
            return Lying(held.status.st_dev, held.status.st_ino, digest_of(held.fd) == digest)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return Lying(0, 0, right=False)


@contextmanager
def open_parent(path: bytes, root: bytes, aside: bytes) -> Iterator[tuple[int | None, int | None]]:
    """The folder of `path`, and the private folder `aside` in it; None for one that is not there. Raises OSError."""
    with ExitStack() as stack:
        try:
            parent_fd = stack.enter_context(walk(root, names_below(path, root)[:-1]))
        except OSError as error:
            if error.errno not in _NO_WAY:
                raise
            yield None, None
            return
        try:
            aside_fd = open_folder(aside, parent_fd)
        except FileNotFoundError:
            yield parent_fd, None
            return
        stack.callback(os.close, aside_fd)
        yield parent_fd, aside_fd
