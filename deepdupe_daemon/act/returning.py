"""Out of quarantine: files go back to where they were, under a free name at most, and overwrite nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum

from deepdupe_daemon.act.descriptors import make_folder, names_below, walk
from deepdupe_daemon.act.free_name import is_free, numbered
from deepdupe_daemon.act.held import HeldFile, digest_of, hold_in
from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.act.moving import part_name
from deepdupe_daemon.act.place import aside_name
from deepdupe_daemon.act.refusal import explained
from deepdupe_daemon.act.transfer import Aside, Leg, Standing, Transfer
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.model import display_path

__all__ = ["Coming", "Returned", "Taken", "bring_back", "claim_name"]

#: for folders that have to be made anew: what they were is not known any more
_FOLDER_MODE = 0o755
_MOST_NUMBERS = 1000


class Taken(StrEnum):
    """What to do where another file has the name of one that comes back."""

    REFUSE = "refuse"
    FREE_NAME = "free-name"  # `IMG (restored).jpg`, the same for all files of a bundle


@dataclass(frozen=True, slots=True)
class Coming:
    """A file that is to come back: its name in the action's folder, where to, and what it is to be.

    `digest` None: whatever it holds. `metadata` None: as it is.
    """

    stored: bytes
    path: bytes
    root: bytes
    digest: bytes | None
    metadata: Metadata | None


@dataclass(frozen=True, slots=True)
class Returned:
    """Where files are now, and under which inodes, in the order in which they were given; and what is to be noted."""

    targets: tuple[bytes, ...]
    inodes: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Ready:
    coming: Coming
    file: HeldFile
    digest: bytes
    metadata: Metadata
    parent_fd: int
    aside: Aside


def claim_name(stored: bytes) -> bytes:
    """What a file is called in the action's folder once its copy is back and it is about to go."""
    return stored + b".claim"


def bring_back(
    folder_fd: int,
    comings: Sequence[Coming],
    token: str,
    taken: Taken,
    on_targets: Callable[[Sequence[bytes]], None],
) -> Returned:
    """Move files from the action's folder `folder_fd` back, all or none. `on_targets` is told where to, before anything
    moves. Raises ActionRefused (name-taken, damaged, missing, ...), after which all are where they were;
    ActionUnfinished."""
    notes: list[str] = []
    with ExitStack() as stack:
        asides: dict[bytes, tuple[int, Aside]] = {}
        ready = []
        for coming in comings:
            file, digest = _hold(coming, folder_fd, stack)
            parent = os.path.dirname(coming.path)
            if parent not in asides:
                with explained(coming.path):
                    parent_fd = _parent(coming, notes, stack)
                asides[parent] = (parent_fd, Aside(parent_fd, aside_name(token)))
                stack.callback(asides[parent][1].close)
            metadata = coming.metadata or file.metadata
            with explained(coming.path):
                metadata.apply(file.fd)
                file = replace(file, status=os.fstat(file.fd))
            ready.append(_Ready(coming, file, digest, metadata, *asides[parent]))
        number = _free_number(ready, 0, taken)
        while True:
            targets = [_target(one.coming, number) for one in ready]
            on_targets(targets)
            try:
                Transfer(_legs(ready, targets, folder_fd)).run()
            except ActionRefused as refused:
                if refused.kind != "name-taken" or taken is Taken.REFUSE:
                    raise
                number = _free_number(ready, number + 1, taken)  # it was taken in this very moment
            else:
                break
        inodes = []
        for one, target in zip(ready, targets, strict=True):
            with explained(target):
                inodes.append(_inode(one, target, notes))
        if number:
            notes.append("the name was taken: it came back under another")
        return Returned(tuple(targets), tuple(inodes), tuple(notes))


def _hold(coming: Coming, folder_fd: int, stack: ExitStack) -> tuple[HeldFile, bytes]:
    try:
        file = stack.enter_context(hold_in(folder_fd, coming.stored, coming.path))
    except FileNotFoundError as error:
        raise ActionRefused(
            "it is not in quarantine any more", kind="missing", where=display_path(coming.path)
        ) from error
    except OSError as error:
        raise ActionRefused(
            f"it cannot be read in quarantine: {error.strerror}", kind="io", retry=True, where=display_path(coming.path)
        ) from error
    with explained(coming.path):
        digest = digest_of(file.fd)
    if coming.digest is not None and digest != coming.digest:
        raise ActionRefused(
            "its bytes in quarantine are not those that were put there",
            kind="damaged",
            where=display_path(coming.path),
            hint="it lies beside its manifest, for a look and a restore by hand",
        )
    return file, digest


def _parent(coming: Coming, notes: list[str], stack: ExitStack) -> int:
    """The folder that it goes to, held open; folders on the way that are gone are made, with a note."""
    names = names_below(coming.path, coming.root)[:-1]
    fd = stack.enter_context(walk(coming.root))
    way = coming.root
    for name in names:
        way += b"/" + name
        fd, made = make_folder(name, fd, _FOLDER_MODE)
        stack.callback(os.close, fd)
        if made:
            notes.append(f"the folder was gone and is made anew: {display_path(way)}")
    return fd


def _free_number(ready: Sequence[_Ready], start: int, taken: Taken) -> int:
    """The first number from `start` under which every name is free; 0 is the names themselves. Raises ActionRefused."""
    for number in range(start, _MOST_NUMBERS):
        blocked = [one for one in ready if not _is_free(one, number)]
        if not blocked:
            return number
        if taken is Taken.REFUSE:
            break
    raise ActionRefused(
        "another file has its name",
        kind="name-taken",
        where=display_path(blocked[0].coming.path),
        hint="move that one away, or let this one come back under a free name",
    )


def _is_free(one: _Ready, number: int) -> bool:
    with explained(one.coming.path):
        return is_free(one.parent_fd, os.path.basename(_target(one.coming, number)))


def _target(coming: Coming, number: int) -> bytes:
    if not number:
        return coming.path
    folder, name = os.path.split(coming.path)
    return folder + b"/" + numbered(name, number)


def _legs(ready: Sequence[_Ready], targets: Sequence[bytes], folder_fd: int) -> list[Leg]:
    return [
        Leg(
            one.file,
            one.digest,
            one.metadata,
            one.parent_fd,
            os.path.basename(target),
            staging=(one.aside, part_name(b"%d" % position)),
            claim=(Standing(folder_fd), claim_name(one.coming.stored)),
        )
        for position, (one, target) in enumerate(zip(ready, targets, strict=True))
    ]


def _inode(one: _Ready, target: bytes, notes: list[str]) -> int:
    """The inode that came back. Notes what of its metadata could not be given to it."""
    with hold_in(one.parent_fd, os.path.basename(target), target) as file:
        lost = one.metadata.lost(file.fd)
        if lost:
            notes.append(f"{display_path(target)}: could not be given back: {', '.join(lost)}")
        return file.status.st_ino
