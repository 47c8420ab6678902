"""A name that is free, close to the one that is taken."""

from __future__ import annotations

from deepdupe_daemon.act.descriptors import file_at
from deepdupe_daemon.act.renaming import rename_noreplace

__all__ = ["give_back", "is_free", "numbered"]

#: longest name of an entry on every common file system
_NAME_BYTES = 255
_ATTEMPTS = 10_000


def numbered(name: bytes, number: int) -> bytes:
    """`IMG.jpg` as `IMG (restored).jpg`, `IMG (restored 2).jpg` and so on; the stem is cut where that grows too long.

    All files of a bundle take the same number, so that they still belong together. A stem that is cut may lose the
    last character's whole UTF-8 sequence, never half of it.
    """
    mark = b" (restored)" if number == 1 else b" (restored %d)" % number
    stem, dot, extension = name.rpartition(b".")
    if not stem or len(extension) > 16:
        stem, dot, extension = name, b"", b""
    room = _NAME_BYTES - len(mark) - len(dot) - len(extension)
    while len(stem) > room or (stem and len(stem) < len(name) and not _is_whole(stem)):
        stem = stem[:-1]
    return stem + mark + dot + extension


def is_free(folder_fd: int, name: bytes) -> bool:
    """Whether `name` leads nowhere in the folder. Raises OSError."""
    try:
        file_at(name, folder_fd)
    except FileNotFoundError:
        return True
    return False


def give_back(source_fd: int, source: bytes, folder_fd: int, name: bytes) -> bytes:
    """Move `source` to `name`, or to a free name near it where that was taken meanwhile; gives it. Raises OSError."""
    wanted, number = name, 0
    while True:
        try:
            rename_noreplace(source_fd, source, folder_fd, wanted)
        except FileExistsError:
            number += 1
            if number > _ATTEMPTS:
                raise
            wanted = numbered(name, number)
        else:
            return wanted


def _is_whole(stem: bytes) -> bool:
    try:
        stem.decode()
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return True
