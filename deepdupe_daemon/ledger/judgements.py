"""Committing a judgement: the last guard against two verdicts on one file, and against a ring of keepers."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from deepdupe_daemon.ledger.files import identity_columns
from deepdupe_daemon.ledger.restorations import Restorations
from deepdupe_daemon.ledger.rows import VerdictRow
from deepdupe_daemon.ledger.schema import LIVING
from deepdupe_daemon.ledger.verdict_row import verdict_columns
from deepdupe_daemon.ledger.verdicts import Verdicts
from deepdupe_daemon.model import FileKey, Verdict

__all__ = ["Judgements", "OnRefused"]

#: told of a verdict that was not recorded: "cycle", "duplicate changed", "keeper changed", "marked not-duplicate" or
#: "restored"
OnRefused = Callable[[Verdict, str], None]

#: A chain of keepers longer than this can only be a loop.
_LONGEST_CHAIN = 10_000


class _Party(NamedTuple):
    file_id: int
    image_id: int


class Judgements(Verdicts, Restorations):
    """The judge's side of the ledger."""

    def record_judged(
        self,
        file_ids: Iterable[int],
        verdicts: Iterable[Verdict],
        *,
        keys: Mapping[int, FileKey] | None = None,
        on_refused: OnRefused | None = None,
    ) -> list[VerdictRow]:
        """Commit a judgement in ONE transaction: the files are indexed, the verdicts inserted; gives what is new.

        The same keeper and class again is nothing new. Another keeper or class supersedes the verdict there was, which
        stays as history; the new one has `first` False. A file of `file_ids` without a verdict loses the one it had.

        Guarded: files that changed meanwhile stay as they are (by `keys` where given, else by their state). A verdict
        is refused, and `on_refused` told after the commit, where the duplicate or the keeper is no longer there with
        the bytes judged (a duplicate that is there then waits in `take_seen`), where the pair was marked not-duplicate,
        where the duplicate was brought back from quarantine ("restored"), and where the keeper is, through current
        verdicts, itself a duplicate of the duplicate ("cycle": those stay).
        """
        verdicts = list(verdicts)
        refused: list[tuple[Verdict, str]] = []
        waiting: set[int] = set()
        fresh: list[int] = []
        with self._db.writing():
            parties = [
                (self._parties(v.duplicate, v.duplicate_digest), self._parties(v.keeper, v.keeper_digest))
                for v in verdicts
            ]
            with_verdict = {duplicate.file_id for duplicates, _ in parties for duplicate in duplicates}
            judged = [i for i in file_ids if self._still_judged(i, keys)]
            for file_id in judged:
                if file_id not in with_verdict:
                    self._close(file_id, "judged again")
            for verdict, (duplicates, keepers) in zip(verdicts, parties, strict=True):
                if len(duplicates) != 1 or len(keepers) != 1:
                    refused.append((verdict, "keeper changed" if len(duplicates) == 1 else "duplicate changed"))
                    waiting.update(duplicate.file_id for duplicate in duplicates)
                    continue
                [duplicate], [keeper] = duplicates, keepers
                reason = self._refusal(verdict, duplicate, keeper)
                if reason is not None:
                    refused.append((verdict, reason))
                elif not self._stands(verdict, duplicate, keeper):
                    fresh.append(self._insert(verdict, duplicate, keeper))
            for file_id in judged:
                if file_id not in waiting:
                    self._db.run("UPDATE files SET state = 'indexed' WHERE file_id = ? AND state = 'seen'", (file_id,))
            rows = [row for row in map(self.verdict, fresh) if row is not None and row.current]
        if on_refused is not None:
            for verdict, reason in refused:
                on_refused(verdict, reason)
        return rows

    def _parties(self, key: FileKey, digest: bytes) -> list[_Party]:
        """The file that was judged, as long as it is there with these bytes: alone if it holds its path still, else
        whatever has its identity now (it was moved; hard links of it cannot be told apart)."""
        rows = self._db.rows(
            "SELECT f.file_id, f.image_id, f.path FROM files f JOIN images i ON i.image_id = f.image_id"
            f" WHERE f.dev = ? AND f.ino = ? AND f.size = ? AND f.mtime_ns = ? AND f.{LIVING} AND i.digest = ?",
            (*identity_columns(key.identity), digest),
        )
        in_place = [row for row in rows if row[2] == key.path]
        return [_Party(row[0], row[1]) for row in in_place or rows]

    def _still_judged(self, file_id: int, keys: Mapping[int, FileKey] | None) -> bool:
        row = self._db.one("SELECT state, dev, ino, size, mtime_ns FROM files WHERE file_id = ?", (file_id,))
        if row is None or row[0] not in ("seen", "indexed"):
            return False
        return keys is None or file_id not in keys or row[1:] == identity_columns(keys[file_id].identity)

    def _refusal(self, verdict: Verdict, duplicate: _Party, keeper: _Party) -> str | None:
        if self.is_not_duplicate(verdict.duplicate_digest, verdict.keeper_digest):
            return "marked not-duplicate"
        if self.was_restored(verdict.duplicate.path, verdict.duplicate.identity.ino, verdict.duplicate_digest):
            return "restored"
        at: int | None = keeper.file_id
        for _ in range(_LONGEST_CHAIN):
            if at is None:
                return None
            if at == duplicate.file_id:
                return "cycle"
            row = self._db.one(
                "SELECT keeper_file_id FROM verdicts WHERE duplicate_file_id = ? AND closed_at_ns IS NULL", (at,)
            )
            at = row[0] if row else None
        return "cycle"

    def _stands(self, verdict: Verdict, duplicate: _Party, keeper: _Party) -> bool:
        """Whether the current verdict on the duplicate says the same."""
        row = self._db.one(
            "SELECT class, duplicate_image_id, keeper_file_id, keeper_image_id FROM verdicts"
            " WHERE duplicate_file_id = ? AND closed_at_ns IS NULL",
            (duplicate.file_id,),
        )
        return row == (str(verdict.verdict_class), duplicate.image_id, keeper.file_id, keeper.image_id)

    def _insert(self, verdict: Verdict, duplicate: _Party, keeper: _Party) -> int:
        earlier = self._db.one(
            "SELECT 1 FROM verdicts WHERE duplicate_file_id = ? AND duplicate_image_id = ?", duplicate
        )
        replaced = self._close(duplicate.file_id, "superseded")
        columns = {
            **verdict_columns(verdict),
            "duplicate_file_id": duplicate.file_id,
            "duplicate_image_id": duplicate.image_id,
            "keeper_file_id": keeper.file_id,
            "keeper_image_id": keeper.image_id,
            "first": int(earlier is None),
        }
        marks = ",".join("?" * len(columns))
        verdict_id = self._db.insert(
            f"INSERT INTO verdicts ({','.join(columns)}) VALUES ({marks})", tuple(columns.values())
        )
        if replaced is not None:
            self._db.run("UPDATE verdicts SET superseded_by = ? WHERE verdict_id = ?", (verdict_id, replaced))
        return verdict_id

    def _close(self, duplicate_file_id: int, reason: str) -> int | None:
        row = self._db.one(
            "UPDATE verdicts SET closed_at_ns = ?, closed_reason = ?"
            " WHERE duplicate_file_id = ? AND closed_at_ns IS NULL RETURNING verdict_id",
            (self._clock.now_ns(), reason, duplicate_file_id),
        )
        return row[0] if row else None
