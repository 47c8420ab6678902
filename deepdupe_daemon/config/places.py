"""The folders of a configuration, looked at on the disk."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepdupe_daemon.config.problem import Location, Problem, nearest

__all__ = [
    "Place",
    "check_program",
    "check_quarantined_root",
    "check_roots",
    "check_runtime_dir",
    "check_socket",
    "check_state_dir",
    "resolve",
]

#: sun_path of sockaddr_un(7), less its closing NUL
_SOCKET_PATH_BYTES = 107
_SOCKET_NAME = "control.sock"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that the configuration names: `path` as it is written there."""

    path: str
    location: Location
    name: str  # how messages about other places call it
    may_be_away: bool = False  # it is waited for where it does not exist

    @property
    def usable(self) -> bool:
        """Whether it can be looked up at all; what is wrong otherwise is told by the schema."""
        return os.path.isabs(os.path.expanduser(self.path)) and "\0" not in self.path


def resolve(path: str) -> str:
    """The path without `~`, symbolic links, `.` and `..`. What does not exist yet keeps its name."""
    return os.path.realpath(os.path.expanduser(path))


def check_roots(roots: Sequence[Place]) -> list[Problem]:
    """Missing folders, files, unreadable ones; the same one twice; one inside another one.

    Folders are told apart by device and inode, so a symbolic link, a bind mount or another spelling hides nothing.
    """
    problems: list[Problem] = []
    seen: dict[tuple[int, int], Place] = {}
    present: list[Place] = []
    for root in roots:
        if root.may_be_away and not os.path.lexists(os.path.expanduser(root.path)):
            continue
        problem = _unusable(root)
        if problem is not None:
            problems.append(problem)
            continue
        identity = _identity(resolve(root.path))
        if identity in seen:
            text = f"found {root.path!r}, which is the same folder as {seen[identity].name}; allowed: each folder once"
            problems.append(Problem(root.location, text))
            continue
        seen[identity] = root
        present.append(root)
    for root in present:
        outer = next((seen[identity] for identity in _above(resolve(root.path)) if identity in seen), None)
        if outer is not None:
            text = (
                f"found {root.path!r}, which lies inside {outer.name} ({outer.path}); allowed: folders apart from each "
                f"other (everything below {outer.path} is watched already)"
            )
            problems.append(Problem(root.location, text))
    return problems


def check_state_dir(state_dir: Place, roots: Sequence[Place]) -> list[Problem]:
    """A state dir that shares space with a root, is no folder, or cannot be written."""
    path = resolve(state_dir.path)
    identities = {_identity(resolve(root.path)): root for root in roots if os.path.isdir(resolve(root.path))}
    base = _existing(path)
    for identity in [_identity(base), *_above(base)]:
        if identity in identities:
            root = identities[identity]
            relation = "is" if _identity(base) == identity and base == path else "lies inside"
            text = (
                f"found {state_dir.path!r}, which {relation} {root.name} ({root.path}); allowed: a folder outside all"
            )
            return [Problem(state_dir.location, f"{text} watched folders")]
    if base == path:
        for root in identities.values():
            if _identity(path) in _above(resolve(root.path)):
                text = (
                    f"found {state_dir.path!r}, and {root.name} ({root.path}) lies inside it; allowed: a folder that "
                )
                return [Problem(state_dir.location, f"{text}holds no watched folder")]
    return _unwritable(state_dir, path, base)


def check_runtime_dir(runtime_dir: Place) -> list[Problem]:
    """A runtime dir that is no folder, or cannot be written."""
    path = resolve(runtime_dir.path)
    return check_socket(runtime_dir) or _unwritable(runtime_dir, path, _existing(path))


def check_quarantined_root(root: Place, location: Location) -> list[Problem]:
    """A root that files are to be moved out of and cannot be: told at `location`, the key that asks for it."""
    path = resolve(root.path)
    if not os.path.isdir(path) or (failed := _attempt(path)) is None:
        return []
    text = f"found 'quarantine', but user {os.geteuid()} cannot write in {root.path}: {failed}"
    return [Problem(location, f"{text}; allowed: observe, or a writable folder (under systemd: ReadWritePaths=)")]


def check_program(program: Place) -> list[Problem]:
    """A program that is not there, or that this user may not run."""
    if os.path.isfile(program.path) and os.access(program.path, os.X_OK):
        return []
    why = "is no program that this user may run" if os.path.lexists(program.path) else "does not exist"
    return [Problem(program.location, f"found {program.path!r}, which {why}; allowed: the path of a program")]


def check_socket(folder: Place) -> list[Problem]:
    """A folder whose name leaves no room for the address of the control socket in it."""
    length = len(os.fsencode(os.path.join(resolve(folder.path), _SOCKET_NAME)))
    if length <= _SOCKET_PATH_BYTES:
        return []
    text = f"found a path that makes the address of the control socket {length} bytes long"
    return [Problem(folder.location, f"{text}; allowed: at most {_SOCKET_PATH_BYTES} (runtime_dir can be elsewhere)")]


def _unusable(root: Place) -> Problem | None:
    path = os.path.expanduser(root.path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        meant = _neighbour(path)
        text = f"found {root.path!r}, which does not exist; allowed: an existing folder"
        return Problem(root.location, f"{text} (did you mean {meant}?)" if meant else text)
    except OSError as error:
        text = f"found {root.path!r}, which cannot be looked at ({error.strerror}); allowed: a readable folder"
        return Problem(root.location, text)
    if not stat.S_ISDIR(mode):
        kind = "a file" if stat.S_ISREG(mode) else "no folder"
        text = f"found {root.path!r}, which is {kind}; allowed: a folder (did you mean {os.path.dirname(path)}?)"
        return Problem(root.location, text)
    if not os.access(path, os.R_OK | os.X_OK):
        text = f"found {root.path!r}, which user {os.geteuid()} may not read; allowed: a readable folder"
        return Problem(root.location, text)
    return None


def _unwritable(place: Place, path: str, base: str) -> list[Problem]:
    """A real attempt in the folder, or in the nearest one above it that exists: permission bits do not tell all."""
    if not os.path.isdir(base):
        text = f"found {place.path!r}, where {base} is a file; allowed: a folder"
        return [Problem(place.location, text)]
    failed = _attempt(base)
    if failed is None:
        return []
    where = "" if base == path else f" (tried in {base})"
    text = f"found {place.path!r}, which user {os.geteuid()} cannot write: {failed}{where}"
    return [Problem(place.location, f"{text}; allowed: a writable folder, or one that can be made")]


def _attempt(folder: str) -> str | None:
    """Why no file can be made in `folder`; None where one can. The attempt leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".deepdupe-probe-"):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _above(path: str) -> Iterable[tuple[int, int]]:
    """Device and inode of every folder above the existing `path`, nearest first."""
    while (parent := os.path.dirname(path)) != path:
        path = parent
        yield _identity(path)


def _existing(path: str) -> str:
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _neighbour(path: str) -> str | None:
    """An existing folder whose name is near to the part of `path` that is missing."""
    path = os.path.normpath(path)
    missing = ""
    while not os.path.isdir(path):
        path, missing = os.path.split(path)
    try:
        with os.scandir(path) as entries:
            meant = nearest(missing, [entry.name for entry in entries if entry.is_dir()])
    except OSError:  # only a suggestion is lost
        return None
    return os.path.join(path, meant) if meant else None
