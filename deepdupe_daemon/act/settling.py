"""What becomes of an intent that was interrupted: all of its files rest in quarantine, or all go back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from deepdupe_daemon.act.free_name import give_back
from deepdupe_daemon.act.manifest import ManifestError, read_manifest
from deepdupe_daemon.act.metadata import Metadata
from deepdupe_daemon.act.moving import clear_action, part_name
from deepdupe_daemon.act.place import aside_name
from deepdupe_daemon.act.refusal import unfinished
from deepdupe_daemon.act.returning import Coming, Taken, bring_back
from deepdupe_daemon.act.survey import Lying, lying, open_parent
from deepdupe_daemon.ledger import ActionFile, ActionRow

__all__ = ["settle_move"]


@dataclass(frozen=True, slots=True)
class _Sight:
    """What lies where, of one member; and its folders, held open."""

    member: ActionFile
    position: int
    parent_fd: int | None
    aside_fd: int | None
    source: Lying | None
    stored: Lying | None
    claim: Lying | None

    @property
    def moved(self) -> bool:
        """Whether it rests in quarantine, and nothing of it is left in its place but what we took aside.

        A file of the same bytes that lies in its place is our copy's source, unless what is stored is the original
        itself, renamed: then somebody put another copy there meanwhile.
        """
        if self.stored is None or not self.stored.right:
            return False
        if self.claim is not None:
            return self.claim.right
        if self.source is None or not self.source.right:
            return True
        same_device = self.source.dev == self.stored.dev
        return same_device and self.stored.ino == self.member.file.identity.ino != self.source.ino


def settle_move(row: ActionRow, place_fd: int, folder_fd: int) -> bool:
    """Finish an interrupted move, or take it back; says whether the files rest in quarantine. Nothing of the action is
    left in quarantine where they do not. Raises ActionUnfinished, OSError."""
    with ExitStack() as stack:
        sights = [_look(row, position, folder_fd, stack) for position in range(len(row.intent.files))]
        if all(sight.moved for sight in sights):
            for sight in sights:
                _finish(sight, row)
            return True
        _take_back(row, sights, folder_fd)
    clear_action(place_fd, row.intent.token, folder_fd)
    return False


def _look(row: ActionRow, position: int, folder_fd: int, stack: ExitStack) -> _Sight:
    member = row.intent.files[position]
    file = member.file
    parent_fd, aside_fd = stack.enter_context(open_parent(file.path, file.root, aside_name(row.intent.token)))
    return _Sight(
        member,
        position,
        parent_fd,
        aside_fd,
        source=lying(os.path.basename(file.path), parent_fd, file.digest),
        stored=lying(member.stored, folder_fd, file.digest),
        claim=lying(b"%d" % position, aside_fd, file.digest),
    )


def _finish(sight: _Sight, row: ActionRow) -> None:
    if sight.aside_fd is not None and sight.claim is not None:
        os.unlink(b"%d" % sight.position, dir_fd=sight.aside_fd)
    _remove_aside(sight, row)


def _take_back(row: ActionRow, sights: Sequence[_Sight], folder_fd: int) -> None:
    comings = []
    metadata = _metadata(folder_fd, row)
    for sight in sights:
        file = sight.member.file
        with suppress(FileNotFoundError):
            os.unlink(part_name(sight.member.stored), dir_fd=folder_fd)
        in_place = sight.source is not None and sight.source.right
        if sight.claim is not None and sight.aside_fd is not None and sight.parent_fd is not None:
            with unfinished(file.path):
                give_back(sight.aside_fd, b"%d" % sight.position, sight.parent_fd, os.path.basename(file.path))
            in_place = in_place or sight.claim.right
        _remove_aside(sight, row)
        if sight.stored is None:
            continue
        if in_place and sight.stored.right:
            os.unlink(sight.member.stored, dir_fd=folder_fd)  # a copy of what lies in its place, whole
        else:
            kept = metadata[sight.position] if metadata and sight.stored.right else None
            comings.append(Coming(sight.member.stored, file.path, file.root, None, kept))
    if comings:
        with unfinished(comings[0].path):
            bring_back(folder_fd, comings, row.intent.token, Taken.FREE_NAME, lambda _: None)


def _remove_aside(sight: _Sight, row: ActionRow) -> None:
    if sight.parent_fd is not None and sight.aside_fd is not None:
        with suppress(OSError):  # another member's file is in it still, or it is the last thing left and empty
            os.rmdir(aside_name(row.intent.token), dir_fd=sight.parent_fd)


def _metadata(folder_fd: int, row: ActionRow) -> tuple[Metadata, ...] | None:
    """What the files were like before; None where the manifest does not say, and then nothing is stored yet."""
    try:
        return read_manifest(folder_fd, row.intent.place).metadata_for(row.intent)
    except (FileNotFoundError, ManifestError):
        return None
