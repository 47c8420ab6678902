"""Globs over paths as bytes, compiled once to one regular expression.

A pattern without `/` matches the name of the file or of any folder above it. One with `/` matches the path relative to
the root, from its start (a leading `/` only says so aloud). One that ends in `/` matches folders only. `*` and `?` stop
at `/`, `**` as a whole part stands for any number of folders, `[abc]`, `[a-z]` and `[!abc]` are one character, and a
backslash takes the next character as it is. Letters a to z match in either case, because cameras write `.JPG`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["DEFAULT_EXCLUDE", "DEFAULT_INCLUDE", "PathFilter", "check_glob"]

DEFAULT_INCLUDE: tuple[str, ...] = ("*",)

_ALNUM6 = "[0-9A-Za-z]" * 6

DEFAULT_EXCLUDE: tuple[str, ...] = (
    ".deepdupe-quarantine/",
    # unfinished downloads: Firefox, Chrome and Chromium, Safari, Opera, WinSCP, curl and wget wrappers, aria2
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    "*.opdownload",
    "*.filepart",
    "*.aria2",
    ".com.google.Chrome.*",
    ".org.chromium.Chromium.*",
    # unfinished transfers and bookkeeping: Android's media store, Nextcloud (.NAME.~1f0a), Resilio, Google Drive,
    # Syncthing, rsync (.NAME.XXXXXX, --delay-updates, --partial-dir), Dropbox
    ".pending-*",
    ".trashed-*",
    ".?*.~*",
    "*.!sync",
    ".tmp.driveupload/",
    ".tmp.drivedownload/",
    ".syncthing.*",
    "~syncthing~*",
    ".stfolder",
    ".stversions/",
    f".?*.{_ALNUM6}",
    ".~tmp~/",
    ".rsync-partial/",
    ".dropbox.cache/",
    # temporary files of editors and desktops: vim, Emacs, GLib, LibreOffice, Office
    ".*.sw?",
    ".#*",
    "#*#",
    "*~",
    "*.tmp",
    ".goutputstream-*",
    ".~lock.*",
    "~$*",
    # files deleted while open: NFS, FUSE, Samba
    ".nfs*",
    ".fuse_hidden*",
    ".smbdelete*",
    # what systems and NAS boxes keep beside pictures: previews, bins, snapshots
    "._*",
    ".DS_Store",
    "__MACOSX/",
    "Thumbs.db",
    "$RECYCLE.BIN/",
    "System Volume Information/",
    "@eaDir/",
    "#recycle/",
    "#snapshot/",
    ".thumbnails/",
    ".Trash/",
    ".Trash-*/",
    "**/.local/share/Trash/",
    ".dtrash/",
    ".snapshot/",
    ".snapshots/",
    ".zfs/",
    "lost+found/",
    # version control
    ".git/",
)

# one UTF-8 character, or one stray byte; atomic, so that `?` never takes half of a character
_ONE = rb"(?>[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[^/])"


def check_glob(pattern: str) -> str:
    """The pattern, or ValueError saying why it cannot be used."""
    _translate(pattern)
    return pattern


class PathFilter:
    """Which paths below a root are looked at. Immutable and stateless, so any thread may use it.

    `include` empty means every file. Relative paths are bytes without a leading or trailing `/`.
    """

    def __init__(self, include: Sequence[str] = DEFAULT_INCLUDE, exclude: Sequence[str] = DEFAULT_EXCLUDE) -> None:
        everything = not include or "*" in include
        self._include = None if everything else re.compile(_union(include), re.IGNORECASE | re.DOTALL)
        self._exclude = re.compile(_union(exclude), re.IGNORECASE | re.DOTALL) if exclude else None

    def matches_file(self, relpath: bytes) -> bool:
        """Whether the file is looked at: included, and neither it nor a folder above it excluded."""
        if self._exclude is not None and self._exclude.search(relpath):
            return False
        return self._include is None or self._include.search(relpath) is not None

    def enters(self, relpath_of_dir: bytes) -> bool:
        """Whether the folder is walked and watched: neither it nor a folder above it excluded. The root (b"") is."""
        return not relpath_of_dir or self._exclude is None or not self._exclude.search(relpath_of_dir + b"/")


def _union(patterns: Iterable[str]) -> bytes:
    """One expression for `search`. Where a name begins is asked once for all patterns: 2 us a path, not 43."""
    starts: dict[bytes, list[bytes]] = {}
    for pattern in patterns:
        start, rest = _translate(pattern)
        starts.setdefault(start, []).append(rest)
    return b"|".join(start + b"(?:" + b"|".join(rests) + b")" for start, rests in starts.items())


def _translate(pattern: str) -> tuple[bytes, bytes]:
    """One glob as two expressions over a relative path (a folder ends in `/`): where it begins, and the rest."""
    if "\x00" in pattern:
        raise ValueError(f"found the glob {pattern!r} with a NUL, which no path holds")
    folders_only = pattern.endswith("/")
    body = pattern.rstrip("/")
    anchored = "/" in body
    parts = body.lstrip("/").split("/")
    if not parts[-1] or "" in parts:
        raise ValueError(f"found the glob {pattern!r} with an empty name between slashes")
    if any(part in (".", "..") for part in parts):
        raise ValueError(f"found the glob {pattern!r}; . and .. are never part of a path below the root")
    start = rb"\A" if anchored else rb"(?:\A|(?<=/))"
    end = rb"/" if folders_only else rb"(?:/|\Z)"
    regex = b""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            regex += rb"[^/]+(?:/[^/]+)*" if last else rb"(?:[^/]+/)*"
        else:
            regex += _translate_part(part, pattern) + (b"" if last else b"/")
    return start, regex + end


def _translate_part(part: str, pattern: str) -> bytes:
    out, index = b"", 0
    while index < len(part):
        char = part[index]
        index += 1
        if char == "*":
            out += b"" if out.endswith(b"[^/]*") else b"[^/]*"
        elif char == "?":
            out += _ONE
        elif char == "[":
            stop = part.find("]", index + (2 if part[index : index + 1] == "!" else 1))
            if stop < 0:
                raise ValueError(f"found the glob {pattern!r} with [ and no ]; allowed: \\[ for the character itself")
            out += _translate_class(part[index:stop], pattern)
            index = stop + 1
        elif char == "{":
            raise ValueError(
                f"found the glob {pattern!r}; allowed: one glob for each choice, or \\{{ for the character"
            )
        else:
            if char == "\\":
                if index == len(part):
                    raise ValueError(f"found the glob {pattern!r} with a backslash at the end of a name")
                char = part[index]
                index += 1
            out += re.escape(char.encode("utf-8", "surrogateescape"))
    return out


def _translate_class(members: str, pattern: str) -> bytes:
    negated, members = members.startswith("!"), members.removeprefix("!")
    choices, index = [], 0
    while index < len(members):
        first = members[index]
        if members[index + 1 : index + 2] == "-" and index + 2 < len(members):
            last = members[index + 2]
            if not (first.isascii() and last.isascii() and first <= last):
                raise ValueError(
                    f"found the glob {pattern!r} with the range {first}-{last}; allowed: ASCII characters in order"
                )
            choices.append(b"[" + re.escape(first.encode()) + b"-" + re.escape(last.encode()) + b"]")
            index += 3
        else:
            choices.append(re.escape(first.encode("utf-8", "surrogateescape")))
            index += 1
    either = b"(?:" + b"|".join(choices) + b")"
    return b"(?!/|" + either + b")" + _ONE if negated else b"(?!/)" + either
