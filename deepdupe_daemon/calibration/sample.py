"""Which photos are taken: by chance, but each with its neighbour by name, so that bursts and series are among them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from deepdupe_daemon.config import DEFAULT_EXCLUDE, PathFilter

__all__ = ["candidates"]


def candidates(folders: Sequence[bytes], *, seed: int) -> list[bytes]:
    """Every file below `folders` that may be a photo, in an order that chance (`seed`) and the names decide.

    Neighbours by name within a folder come in pairs: cameras number their shots, so that hard negatives lie there. A
    file that is added moves no other pair's place. Symbolic links are not followed.
    """
    accepts = PathFilter(("*",), DEFAULT_EXCLUDE)
    pairs: list[tuple[bytes, list[bytes]]] = []
    for folder in folders:
        for at, folders_below, names in os.walk(folder):
            folders_below[:] = sorted(each for each in folders_below if _wanted(accepts, folder, at, each, is_dir=True))
            here = sorted(name for name in names if _wanted(accepts, folder, at, name, is_dir=False))
            for first in range(0, len(here), 2):
                paths = [os.path.join(at, name) for name in here[first : first + 2]]
                rank = hashlib.sha256(b"%d\0%b" % (seed, os.path.relpath(paths[0], folder))).digest()
                pairs.append((rank, paths))
    return [path for _, paths in sorted(pairs) for path in paths]


def _wanted(accepts: PathFilter, root: bytes, at: bytes, name: bytes, *, is_dir: bool) -> bool:
    path = os.path.join(at, name)
    if os.path.islink(path):
        return False
    relative = os.path.relpath(path, root)
    return accepts.enters(relative) if is_dir else accepts.matches_file(relative)
