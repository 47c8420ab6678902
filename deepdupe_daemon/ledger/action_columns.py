"""How an action rests in its rows."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deepdupe_daemon.ledger.action_rows import ActionFile, ActionRow, ActionState, Intent, Party
from deepdupe_daemon.ledger.files import identity_columns
from deepdupe_daemon.model import FileIdentity, VerdictClass

__all__ = ["ACTIONS", "ACTION_FILES", "action_file", "action_row", "file_columns"]

ACTIONS = (
    "SELECT a.action_id, a.token, a.state, a.verdict_id, a.class, a.evidence, a.place, a.intended_at_ns, a.moved_at_ns,"
    " a.changed_at_ns, a.told_at_ns, a.kind, a.reason FROM actions a"
)
_PARTY = ("path", "root_length", "dev", "ino", "size", "mtime_ns", "digest")
_FILE = (*_PARTY, *(f"keeper_{name}" for name in _PARTY), "stored", "target")
ACTION_FILES = f"SELECT action_id, {', '.join(_FILE)} FROM action_files"


def file_columns(member: ActionFile) -> dict[str, object]:
    """The columns of a member, but for its action and position."""
    keeper = _party_columns(member.keeper) if member.keeper is not None else (None,) * len(_PARTY)
    return dict(zip(_FILE, (*_party_columns(member.file), *keeper, member.stored, member.target), strict=True))


def action_file(row: Sequence[Any]) -> ActionFile:
    """The member that a row of `ACTION_FILES` is."""
    file, keeper, (stored, target) = row[1:8], row[8:15], row[15:]
    return ActionFile(_party(file), _party(keeper) if keeper[0] is not None else None, stored, target)


def action_row(row: Sequence[Any], files: Sequence[ActionFile]) -> ActionRow:
    """The action that a row of `ACTIONS` is, with its members in order."""
    return ActionRow(
        action_id=row[0],
        state=ActionState(row[2]),
        intent=Intent(
            token=row[1],
            verdict_id=row[3],
            verdict_class=VerdictClass(row[4]),
            evidence=json.loads(row[5]),
            place=row[6],
            files=tuple(files),
        ),
        intended_at_ns=row[7],
        moved_at_ns=row[8],
        changed_at_ns=row[9],
        told_at_ns=row[10],
        kind=row[11],
        reason=row[12],
    )


def _party_columns(party: Party) -> tuple[object, ...]:
    return (party.path, len(party.root), *identity_columns(party.identity), party.digest)


def _party(columns: Sequence[Any]) -> Party:
    path, root_length, dev, ino, size, mtime_ns, digest = columns
    return Party(path, path[:root_length], FileIdentity(int(dev), int(ino), size, int(mtime_ns)), digest)
