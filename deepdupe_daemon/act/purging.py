"""For ever: a person's command, and the only one that unlinks what is not a copy of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from deepdupe_daemon.act.held import hold
from deepdupe_daemon.act.moving import clear_action
from deepdupe_daemon.act.proof import prove_keeper
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionFile, ActionRow, Intent, Ledger, Party
from deepdupe_daemon.model import display_path

__all__ = ["prove_copies_stay", "remove_files"]


def prove_copies_stay(ledger: Ledger, row: ActionRow) -> None:
    """That for each picture a copy rests in place: its keeper, or another file with its bytes or its keeper's.

    Raises ActionRefused (last-copy).
    """
    for member in row.intent.files:
        if member.keeper is not None and not any(_is_there(one, row) for one in _copies(ledger, member)):
            raise ActionRefused(
                "it may be the last copy: the one that was kept is not where it was, or not as it was",
                kind="last-copy",
                where=display_path(member.file.path),
                hint="restore it, or purge it with the flag for the last copy",
            )


def remove_files(intent: Intent, place_fd: int, folder_fd: int) -> int:
    """Unlink an action's files, then its manifest, then its folder; gives the bytes that were freed. Raises OSError."""
    freed_bytes = 0
    for member in intent.files:
        with suppress(FileNotFoundError):
            freed_bytes += os.stat(member.stored, dir_fd=folder_fd, follow_symlinks=False).st_size
            os.unlink(member.stored, dir_fd=folder_fd)
    clear_action(place_fd, intent.token, folder_fd)
    return freed_bytes


def _copies(ledger: Ledger, member: ActionFile) -> Iterator[Party]:
    assert member.keeper is not None
    yield member.keeper
    for digest in (member.keeper.digest, member.file.digest):
        image = ledger.image_by_digest(digest)
        for file in ledger.living_files(image.image_id) if image is not None else ():
            yield Party(file.key.path, file.root, file.key.identity, digest)


def _is_there(party: Party, row: ActionRow) -> bool:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(hold(party.path, party.root))
            prove_keeper(file, party, [row.intent.place])
        except (OSError, ActionRefused):
            return False
    return True
