"""Into quarantine: proof, manifest, move. The ledger's intent comes before, and its `quarantined` after."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress

from deepdupe_daemon.act.descriptors import sync, walk
from deepdupe_daemon.act.held import HeldFile, hold
from deepdupe_daemon.act.manifest import Manifest, remove_manifest, write_manifest
from deepdupe_daemon.act.place import aside_name, open_action, place_in
from deepdupe_daemon.act.proof import lock_files, prove_apart, prove_keeper, prove_member
from deepdupe_daemon.act.refusal import explained
from deepdupe_daemon.act.transfer import Aside, Leg, Standing, Transfer
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionRow
from deepdupe_daemon.model import display_path

__all__ = ["clear_action", "move_in", "part_name"]


def part_name(stored: bytes) -> bytes:
    """The name of a copy that is not complete yet."""
    return stored + b".part"


def move_in(row: ActionRow, now_ns: int) -> None:
    """Move an intent's files into quarantine. Raises ActionRefused, after which every file is in its place and nothing
    is left in quarantine; ActionUnfinished where recovery must go on.

    From the proof on nothing is reached by its path any more: every folder on the way is held open before.
    """
    intent = row.intent
    with ExitStack() as stack:
        members, keepers = [], []
        for member in intent.files:
            with explained(member.file.path):
                members.append(stack.enter_context(hold(member.file.path, member.file.root)))
        for member in intent.files:
            if member.keeper is not None:
                with explained(member.keeper.path, of="keeper"):
                    keepers.append((stack.enter_context(hold(member.keeper.path, member.keeper.root)), member.keeper))
        with explained(intent.place, of="place"):
            parent_fd = stack.enter_context(walk(os.path.dirname(intent.place)))
        held_keepers = [keeper for keeper, _ in keepers]
        prove_apart(members, held_keepers)
        lock_files(members, held_keepers)
        for keeper, party in keepers:
            prove_keeper(keeper, party, [intent.place])
        for file, member in zip(members, intent.files, strict=True):
            prove_member(file, member.file)
        with explained(intent.place, of="place"):
            place_fd = stack.enter_context(place_in(parent_fd, intent.place, make=True))
            folder_fd = stack.enter_context(open_action(place_fd, intent.token, intent.place, make=True))
        try:
            with explained(intent.place):
                metadata = tuple(file.metadata for file in members)
                write_manifest(Manifest(intent, metadata, row.label, now_ns), folder_fd)
            _still_there(held_keepers)
            Transfer(_legs(row, members, folder_fd, stack)).run()
        except ActionRefused:
            with suppress(OSError):  # an empty folder is left at worst: what counts is in its place
                clear_action(place_fd, intent.token, folder_fd)
            raise


def clear_action(place_fd: int, token: str, folder_fd: int) -> None:
    """Remove an action's folder, of which nothing but the manifest is left. Raises OSError.

    Whatever somebody else has put there stays, and with it the folder.
    """
    remove_manifest(folder_fd)
    try:
        os.rmdir(os.fsencode(token), dir_fd=place_fd)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    sync(place_fd)


def _legs(row: ActionRow, members: list[HeldFile], folder_fd: int, stack: ExitStack) -> list[Leg]:
    intent = row.intent
    asides: dict[bytes, Aside] = {}
    legs = []
    for position, (file, member) in enumerate(zip(members, intent.files, strict=True)):
        parent = os.path.dirname(member.file.path)
        if parent not in asides:
            asides[parent] = Aside(file.folder_fd, aside_name(intent.token))
            stack.callback(asides[parent].close)
        legs.append(
            Leg(
                file,
                member.file.digest,
                file.metadata,
                folder_fd,
                member.stored,
                staging=(Standing(folder_fd), part_name(member.stored)),
                claim=(asides[parent], b"%d" % position),
            )
        )
    return legs


def _still_there(keepers: list[HeldFile]) -> None:
    """A last look, after the manifest was written: what is to stay has its name still."""
    for keeper in keepers:
        with explained(keeper.path, of="keeper"):
            if not keeper.leads_here():
                raise ActionRefused(
                    "the copy to keep is gone from its place", kind="keeper-gone", where=display_path(keeper.path)
                )
