"""An action's way back: begun anew, or gone on with after a kill."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.act.moving import part_name
from deepdupe_daemon.act.place import aside_name
from deepdupe_daemon.act.renaming import rename_noreplace
from deepdupe_daemon.act.returning import Coming, Taken, bring_back, claim_name
from deepdupe_daemon.act.survey import Lying, lying, open_parent
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionFile, Intent
from deepdupe_daemon.model import display_path

__all__ = ["Back", "restore_files"]

#: is told where every file of the action goes, in its order, before one moves
OnTargets = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Back:
    """Where every file of an action is now, in its order, with its inode (None: not there any more)."""

    targets: tuple[bytes, ...]
    inodes: tuple[int | None, ...]
    notes: tuple[str, ...]


def restore_files(
    intent: Intent, metadata: Sequence[Metadata] | None, folder_fd: int, taken: Taken, on_targets: OnTargets
) -> Back:
    """Bring every file of the action back that is not back yet. Raises ActionRefused, ActionUnfinished, OSError."""
    targets = [member.target or member.file.path for member in intent.files]
    inodes: list[int | None] = [None] * len(targets)
    waiting = []
    for position, member in enumerate(intent.files):
        there = _settle(member, position, targets[position], intent.token, folder_fd)
        if isinstance(there, Lying):
            inodes[position] = there.ino
        elif there == "stored":
            waiting.append(position)
        elif member.target is None:
            raise ActionRefused(
                "it is not in quarantine any more", kind="missing", where=display_path(member.file.path)
            )

    def tell(some: Sequence[bytes]) -> None:
        for position, target in zip(waiting, some, strict=True):
            targets[position] = target
        on_targets(targets)

    notes: tuple[str, ...] = ()
    if waiting:
        comings = [
            _coming(intent.files[position], targets[position], metadata[position] if metadata else None)
            for position in waiting
        ]
        returned = bring_back(folder_fd, comings, intent.token, taken, tell)
        notes = returned.notes
        for position, ino in zip(waiting, returned.inodes, strict=True):
            inodes[position] = ino
    return Back(tuple(targets), tuple(inodes), notes)


def _coming(member: ActionFile, target: bytes, metadata: Metadata | None) -> Coming:
    return Coming(member.stored, target, member.file.root, member.file.digest, metadata)


def _settle(member: ActionFile, position: int, target: bytes, token: str, folder_fd: int) -> Lying | str:
    """Clear up what an earlier attempt left of one member: gives the file where it is back, else "stored" or "gone"."""
    root, digest = member.file.root, member.file.digest
    with open_parent(target, root, aside_name(token)) as (parent_fd, aside_fd):
        there = lying(os.path.basename(target), parent_fd, digest) if member.target is not None else None
        if parent_fd is not None and aside_fd is not None:
            with suppress(FileNotFoundError):
                os.unlink(part_name(b"%d" % position), dir_fd=aside_fd)
            with suppress(OSError):  # another member's copy is in it still
                os.rmdir(aside_name(token), dir_fd=parent_fd)
    stored, claim = member.stored, claim_name(member.stored)
    if there is not None and there.right:
        for name in (stored, claim):  # what is back is whole: these are what it was copied from, or linked to
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder_fd)
        return there
    if lying(stored, folder_fd, digest) is not None:
        return "stored"
    if lying(claim, folder_fd, digest) is not None:
        rename_noreplace(folder_fd, claim, folder_fd, stored)
        return "stored"
    return "gone"
