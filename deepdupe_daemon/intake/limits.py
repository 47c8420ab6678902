"""The kernel's limits for inotify, in numbers and in a sentence that names the remedy."""

from __future__ import annotations

import errno

__all__ = ["limit_text", "out_of_watches", "read_limit"]

_SYSCTL = "/proc/sys/fs/inotify/"


def read_limit(name: str, folder: str = _SYSCTL) -> int | None:
    """`max_user_watches` and its like; None where /proc does not say."""
    try:
        with open(folder + name, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def out_of_watches(error: OSError) -> bool:
    """Whether the kernel refused for a limit: of watches (ENOSPC) or of instances (EMFILE)."""
    return error.errno in (errno.ENOSPC, errno.EMFILE)


def limit_text(root: str, error: OSError, *, watched: int, directories: int, every_s: float) -> str:
    """One sentence for the person who can raise the limit."""
    name = "max_user_instances" if error.errno == errno.EMFILE else "max_user_watches"
    limit = read_limit(name)
    known = f" = {limit:,}" if limit is not None else ""
    return (
        f"{root}: only {watched:,} of {directories:,} directories can be watched, because the limit"
        f" fs.inotify.{name}{known} is reached; the rest is walked about every {every_s:.0f} s. Raise it, for example:"
        f" sysctl fs.inotify.{name}={max(2 * directories, 2 * (limit or 0), 524_288 if 'watches' in name else 1024)}"
    )
