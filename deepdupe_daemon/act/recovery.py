"""After a kill: every action that was under way is finished or taken back, by what lies on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from deepdupe_daemon.act.manifest import ManifestError, read_manifest
from deepdupe_daemon.act.moving import clear_action
from deepdupe_daemon.act.place import aside_name, open_action, open_place
from deepdupe_daemon.act.presence import place_is_there, refuse_where_away, root_is_there
from deepdupe_daemon.act.purging import remove_files
from deepdupe_daemon.act.restoring import restore_files
from deepdupe_daemon.act.returning import Taken
from deepdupe_daemon.act.settling import settle_move
from deepdupe_daemon.act.survey import lying, open_parent
from deepdupe_daemon.errors import ActionRefused, ActionUnfinished
from deepdupe_daemon.ledger import ActionRow, ActionState, Intent, Ledger

__all__ = ["Outcome", "Recovered", "recover_action"]


class Outcome(StrEnum):
    """What became of an open action."""

    FINISHED = "finished"
    ROLLED_BACK = "rolled-back"
    POSTPONED = "postponed"  # its file system is away, or full: it stays open, and can be tried again


@dataclass(frozen=True, slots=True)
class Recovered:
    """`action` as it is now; `reason` says what hindered it, where it was postponed."""

    action: ActionRow
    outcome: Outcome
    reason: str = ""


def recover_action(ledger: Ledger, row: ActionRow) -> Recovered:
    """Finish an open action, or take it back. Raises StateError; everything else postpones it."""
    try:
        match row.state:
            case ActionState.INTENDED:
                return _recover_move(ledger, row)
            case ActionState.RESTORING:
                return _recover_restore(ledger, row)
            case _:
                return _recover_purge(ledger, row)
    except (ActionRefused, ActionUnfinished) as error:
        return Recovered(row, Outcome.POSTPONED, error.what)
    except OSError as error:
        return Recovered(row, Outcome.POSTPONED, str(error.strerror))


def _recover_move(ledger: Ledger, row: ActionRow) -> Recovered:
    intent = row.intent
    if not root_is_there(intent):
        return Recovered(row, Outcome.POSTPONED, "its folder is away")
    with _open(row) as (place_fd, folder_fd):
        if place_fd is not None and folder_fd is not None:
            if settle_move(row, place_fd, folder_fd):
                return Recovered(ledger.mark_moved(row.action_id), Outcome.FINISHED)
        elif not place_is_there(intent, place_fd) and len(_inodes(intent, [m.file.path for m in intent.files])) < len(
            intent.files
        ):
            return Recovered(row, Outcome.POSTPONED, "the quarantine folder is away")
    return Recovered(
        ledger.abandon(row.action_id, "interrupted", "it was interrupted, and taken back"), Outcome.ROLLED_BACK
    )


def _recover_restore(ledger: Ledger, row: ActionRow) -> Recovered:
    def tell(targets: Sequence[bytes]) -> None:
        ledger.begin_restore(row.action_id, targets)

    refuse_where_away(row.intent)
    targets = [member.target or member.file.path for member in row.intent.files]
    with _open(row) as (place_fd, folder_fd):
        if place_fd is not None and folder_fd is not None:
            try:
                metadata = read_manifest(folder_fd, row.intent.place).metadata_for(row.intent)
            except (FileNotFoundError, ManifestError):
                metadata = None
            back = restore_files(row.intent, metadata, folder_fd, Taken.FREE_NAME, tell)
            clear_action(place_fd, row.intent.token, folder_fd)
            inodes = {t: ino for t, ino in zip(back.targets, back.inodes, strict=True) if ino is not None}
        else:
            inodes = _inodes(row.intent, targets)
            if len(inodes) < len(targets) and not place_is_there(row.intent, place_fd):
                return Recovered(row, Outcome.POSTPONED, "the quarantine folder is away")
        return Recovered(ledger.mark_restored(row.action_id, inodes), Outcome.FINISHED)


def _recover_purge(ledger: Ledger, row: ActionRow) -> Recovered:
    with _open(row) as (place_fd, folder_fd):
        if place_fd is not None and folder_fd is not None:
            remove_files(row.intent, place_fd, folder_fd)
        elif place_fd is None:
            return Recovered(row, Outcome.POSTPONED, "the quarantine folder is away")
        return Recovered(ledger.mark_purged(row.action_id), Outcome.FINISHED)


@contextmanager
def _open(row: ActionRow) -> Iterator[tuple[int | None, int | None]]:
    """The quarantine folder and the action's folder in it, None for what is not there. Raises as they do."""
    with ExitStack() as stack:
        place_fd = folder_fd = None
        with suppress(FileNotFoundError):
            place_fd = stack.enter_context(open_place(row.intent.place))
            folder_fd = stack.enter_context(open_action(place_fd, row.intent.token, row.intent.place))
        yield place_fd, folder_fd


def _inodes(intent: Intent, paths: Sequence[bytes]) -> dict[bytes, int]:
    """Those of the intent's files that lie, with their bytes, at `paths`, which are in its order."""
    found = {}
    for member, path in zip(intent.files, paths, strict=True):
        with open_parent(path, member.file.root, aside_name(intent.token)) as (parent_fd, _):
            there = lying(os.path.basename(path), parent_fd, member.file.digest)
        if there is not None and there.right:
            found[path] = there.ino
    return found
