"""An action's way from one state to the next. Each step is one transaction; only `act/` takes them."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger.action_columns import file_columns
from deepdupe_daemon.ledger.action_rows import ActionRow, ActionState, Intent, Party
from deepdupe_daemon.ledger.actions import Actions
from deepdupe_daemon.ledger.files import GONE, identity_columns
from deepdupe_daemon.ledger.restorations import Restorations
from deepdupe_daemon.ledger.schema import LIVING, identity_column
from deepdupe_daemon.ledger.verdicts import Verdicts
from deepdupe_daemon.model import display_path

__all__ = ["ActionStates"]

_HELD = "a.state IN ('intended', 'quarantined', 'restoring', 'purging')"
_OPEN = "a.state IN ('intended', 'restoring', 'purging')"
#: a member that is this very file, by its name or by its inode and bytes
_IS_MEMBER = "(f.path = ? OR (f.ino = ? AND f.digest = ?))"
_IS_KEEPER = "f.keeper_digest = ? AND (f.keeper_path = ? OR f.keeper_ino = ?)"
_MEMBERS = "SELECT 1 FROM action_files f JOIN actions a USING (action_id) WHERE"


class ActionStates(Actions, Verdicts, Restorations):
    """The quarantine's side of the ledger."""

    def record_intent(self, intent: Intent) -> ActionRow:
        """Write down what is to move, before anything does. Raises ActionRefused where another action, a mark or a
        restoration speaks against it: no file is a member of two open actions, and none is both a keeper and away."""
        now_ns = self._clock.now_ns()
        with self._db.writing():
            if (
                self._db.one(
                    "SELECT 1 FROM verdicts WHERE verdict_id = ? AND closed_at_ns IS NULL", (intent.verdict_id,)
                )
                is None
            ):
                raise ActionRefused("the verdict no longer stands", kind="changed", where=_named(intent.files[0].file))
            for member in intent.files:
                self._refuse_member(member.file, intent)
                if member.keeper is not None:
                    self._refuse_pair(member.file, member.keeper)
            action_id = self._db.insert(
                "INSERT INTO actions (token, state, verdict_id, class, evidence, place, intended_at_ns, changed_at_ns)"
                " VALUES (?, 'intended', ?, ?, ?, ?, ?, ?)",
                (
                    intent.token,
                    intent.verdict_id,
                    str(intent.verdict_class),
                    json.dumps(dict(intent.evidence), sort_keys=True),
                    intent.place,
                    now_ns,
                    now_ns,
                ),
            )
            for position, member in enumerate(intent.files):
                columns = {"action_id": action_id, "position": position, **file_columns(member)}
                marks = ",".join("?" * len(columns))
                self._db.run(
                    f"INSERT INTO action_files ({','.join(columns)}) VALUES ({marks})", tuple(columns.values())
                )
            return self._known(action_id)

    def mark_moved(self, action_id: int) -> ActionRow:
        """Every file rests in quarantine: they are gone from where they were, in the same transaction."""
        with self._db.writing():
            self._enter(action_id, ActionState.QUARANTINED, "moved_at_ns = coalesce(moved_at_ns, ?1)")
            row = self._known(action_id)
            for member in row.intent.files:
                self._db.run(
                    f"UPDATE files SET {GONE} WHERE path = ? AND former = 0 AND state <> 'gone'"
                    " AND ino = ? AND size = ? AND mtime_ns = ?",
                    (member.file.path, *identity_columns(member.file.identity)[1:]),
                )
            return row

    def abandon(self, action_id: int, kind: str, reason: str) -> ActionRow:
        """Every file lies in its place, and no other one holds it there."""
        with self._db.writing():
            self._enter(action_id, ActionState.ABANDONED, "kind = ?3, reason = ?4", kind, reason)
            return self._known(action_id)

    def begin_restore(self, action_id: int, targets: Sequence[bytes]) -> ActionRow:
        """The files are on their way back to `targets`. From here on they are nobody's duplicates: the marks stand
        before the first file is seen again. Repeatable with other targets."""
        with self._db.writing():
            self._enter(action_id, ActionState.RESTORING)
            row = self._known(action_id)
            for position, (member, target) in enumerate(zip(row.intent.files, targets, strict=True)):
                self._db.run(
                    "UPDATE action_files SET target = ? WHERE action_id = ? AND position = ?",
                    (target, action_id, position),
                )
                if member.keeper is not None and member.keeper.digest != member.file.digest:
                    low, high = sorted((member.file.digest, member.keeper.digest))
                    self._db.run(
                        "INSERT INTO not_duplicates VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                        (low, high, _source(row), self._clock.now_ns()),
                    )
            return self._known(action_id)

    def mark_restored(self, action_id: int, inodes: Mapping[bytes, int]) -> ActionRow:
        """Every file is back; `inodes` by target tells under which inode, so that it is known after a rename too."""
        with self._db.writing():
            self._enter(action_id, ActionState.RESTORED, "told_at_ns = NULL")
            for target, ino in inodes.items():
                self._db.run(
                    "UPDATE action_files SET target_ino = ? WHERE action_id = ? AND target = ?",
                    (identity_column(ino), action_id, target),
                )
            self._db.run(
                "UPDATE verdicts SET closed_at_ns = ?, closed_reason = 'restored' WHERE closed_at_ns IS NULL"
                " AND verdict_id = (SELECT verdict_id FROM actions WHERE action_id = ?)",
                (self._clock.now_ns(), action_id),
            )
            return self._known(action_id)

    def keep_quarantined(self, action_id: int) -> ActionRow:
        """A restoration came to nothing: the files rest in quarantine, and its marks are taken back."""
        with self._db.writing():
            self._enter(action_id, ActionState.QUARANTINED)
            self._db.run("UPDATE action_files SET target = NULL WHERE action_id = ?", (action_id,))
            row = self._known(action_id)
            self._db.run("DELETE FROM not_duplicates WHERE source = ?", (_source(row),))
            return row

    def begin_purge(self, action_id: int) -> ActionRow:
        with self._db.writing():
            self._enter(action_id, ActionState.PURGING)
            return self._known(action_id)

    def mark_purged(self, action_id: int) -> ActionRow:
        with self._db.writing():
            self._enter(action_id, ActionState.PURGED)
            return self._known(action_id)

    def _enter(self, action_id: int, state: ActionState, also: str = "", *more: object) -> None:
        changed = self._db.run(
            f"UPDATE actions SET changed_at_ns = ?1, state = ?2{', ' + also if also else ''}"
            f" WHERE action_id = ?{3 + len(more)}",
            (self._clock.now_ns(), str(state), *more, action_id),
        )
        if not changed:
            raise LookupError(f"no action {action_id}")

    def _known(self, action_id: int) -> ActionRow:
        row = self.action(action_id)
        assert row is not None
        return row

    def _refuse_member(self, file: Party, intent: Intent) -> None:
        where = _named(file)
        if any(member.keeper is not None and _same(member.keeper, file) for member in intent.files):
            raise ActionRefused("it is the copy to keep, too", kind="is-keeper", where=where)
        if self._is_one(_OPEN, _IS_MEMBER, file.path, *_inode_and_digest(file)):
            raise ActionRefused("another action on it is under way", kind="intended", retry=True, where=where)
        if self._is_one(_HELD, _IS_KEEPER, file.digest, file.path, identity_columns(file.identity)[1]):
            raise ActionRefused("it is the copy that stays for one in quarantine", kind="is-keeper", where=where)
        if self._is_one(_HELD, "f.keeper_digest = ?", file.digest) and not self._has_other(file):
            raise ActionRefused("it is the last copy of one that stays for another", kind="is-keeper", where=where)
        if self.was_restored(file.path, file.identity.ino, file.digest):
            raise ActionRefused("it was brought back from quarantine before", kind="restored-before", where=where)

    def _refuse_pair(self, file: Party, keeper: Party) -> None:
        if self.is_not_duplicate(file.digest, keeper.digest):
            raise ActionRefused("the pair is marked as not duplicates", kind="marked", where=_named(file))
        if self._is_one(_OPEN, _IS_MEMBER, keeper.path, *_inode_and_digest(keeper)):
            raise ActionRefused(
                "an action on the copy to keep is under way", kind="keeper-intended", retry=True, where=_named(keeper)
            )

    def _is_one(self, states: str, condition: str, *parameters: object) -> bool:
        return self._db.one(f"{_MEMBERS} {states} AND {condition} LIMIT 1", parameters) is not None

    def _has_other(self, file: Party) -> bool:
        sql = (
            "SELECT 1 FROM files f JOIN images i ON i.image_id = f.image_id"
            f" WHERE i.digest = ? AND f.{LIVING} AND f.path <> ? LIMIT 1"
        )
        return self._db.one(sql, (file.digest, file.path)) is not None


def _same(a: Party, b: Party) -> bool:
    return a.path == b.path or (a.identity.dev, a.identity.ino) == (b.identity.dev, b.identity.ino)


def _inode_and_digest(party: Party) -> tuple[object, bytes]:
    return identity_columns(party.identity)[1], party.digest


def _source(row: ActionRow) -> str:
    return f"restored {row.label}"


def _named(party: Party) -> str:
    return display_path(party.path)
