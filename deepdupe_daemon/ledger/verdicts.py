"""Verdicts: one current verdict per duplicate file, the rest is history."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.files import identity_columns, tree_range
from deepdupe_daemon.ledger.rows import VerdictRow
from deepdupe_daemon.ledger.schema import LIVING
from deepdupe_daemon.ledger.verdict_row import VERDICTS, verdict_columns, verdict_row
from deepdupe_daemon.model import FileKey, Verdict, VerdictClass

__all__ = ["OnRefused", "Verdicts"]

#: told of a verdict that was not recorded: "cycle", "duplicate changed", "keeper changed" or "marked not-duplicate"
OnRefused = Callable[[Verdict, str], None]

_PAGE_ROWS = 500
#: A chain of keepers longer than this can only be a loop.
_LONGEST_CHAIN = 10_000


class _Party(NamedTuple):
    file_id: int
    image_id: int


class Verdicts(Opened):
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
        the bytes judged (the duplicate then waits in `take_seen`), where the pair was marked not-duplicate, and where
        the keeper is, through current verdicts, itself a duplicate of the duplicate ("cycle": the one there was stays).
        """
        verdicts = list(verdicts)
        refused: list[tuple[Verdict, str]] = []
        waiting: set[int] = set()
        fresh: list[int] = []
        with self._db.writing():
            parties = [
                (self._party(v.duplicate, v.duplicate_digest), self._party(v.keeper, v.keeper_digest)) for v in verdicts
            ]
            with_verdict = {duplicate.file_id for duplicate, _ in parties if duplicate is not None}
            judged = [i for i in file_ids if self._still_judged(i, keys)]
            for file_id in judged:
                if file_id not in with_verdict:
                    self._close(file_id, "judged again")
            for verdict, (duplicate, keeper) in zip(verdicts, parties, strict=True):
                if duplicate is None or keeper is None:
                    refused.append((verdict, "duplicate changed" if duplicate is None else "keeper changed"))
                    if duplicate is not None:
                        waiting.add(duplicate.file_id)
                    continue
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

    def verdict(self, verdict_id: int) -> VerdictRow | None:
        row = self._db.one(f"{VERDICTS} WHERE v.verdict_id = ?", (verdict_id,))
        return verdict_row(row) if row else None

    def unalerted(self, limit: int) -> list[VerdictRow]:
        """Current verdicts that nobody was told of yet, oldest first."""
        sql = f"{VERDICTS} WHERE v.closed_at_ns IS NULL AND v.alerted_at_ns IS NULL ORDER BY v.verdict_id LIMIT ?"
        return [verdict_row(row) for row in self._db.rows(sql, (limit,))]

    def mark_alerted(self, verdict_ids: Iterable[int]) -> None:
        now_ns = self._clock.now_ns()
        with self._db.writing():
            self._db.run_many(
                "UPDATE verdicts SET alerted_at_ns = ? WHERE verdict_id = ? AND alerted_at_ns IS NULL",
                ((now_ns, int(verdict_id)) for verdict_id in verdict_ids),
            )

    def duplicates(
        self,
        *,
        classes: Collection[VerdictClass] | None = None,
        root: bytes | None = None,
        since_ns: int | None = None,
        living_only: bool = True,
    ) -> Iterator[VerdictRow]:
        """Current verdicts, oldest first, in pages: of these classes, whose duplicate lies below `root`, decided since.

        With `living_only` both files must rest somewhere with the bytes that were judged.
        """
        conditions, parameters = ["v.closed_at_ns IS NULL"], list[object]()
        if classes is not None:
            conditions.append(f"v.class IN ({','.join('?' * len(classes))})")
            parameters.extend(str(c) for c in classes)
        if root is not None:
            conditions.append("coalesce(d.path, v.duplicate_path) >= ? AND coalesce(d.path, v.duplicate_path) < ?")
            parameters.extend(tree_range(root))
        if since_ns is not None:
            conditions.append("v.decided_at_ns >= ?")
            parameters.append(since_ns)
        if living_only:
            conditions.append("d.file_id IS NOT NULL AND k.file_id IS NOT NULL")
        sql = (
            f"{VERDICTS} WHERE v.verdict_id > ? AND {' AND '.join(conditions)} ORDER BY v.verdict_id LIMIT {_PAGE_ROWS}"
        )
        after = 0
        while True:
            page = [verdict_row(row) for row in self._db.rows(sql, (after, *parameters))]
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            after = page[-1].verdict_id

    def verdicts_for(self, path: bytes) -> list[VerdictRow]:
        """Every verdict, past ones too, on the files that are or were known as `path` as duplicates; oldest first."""
        sql = (
            f"{VERDICTS} WHERE v.duplicate_file_id IN (SELECT file_id FROM files WHERE path = ?) ORDER BY v.verdict_id"
        )
        return [verdict_row(row) for row in self._db.rows(sql, (path,))]

    def copies_of(self, path: bytes) -> list[VerdictRow]:
        """Current verdicts whose keeper is the file at `path`, oldest first."""
        sql = (
            f"{VERDICTS} WHERE v.closed_at_ns IS NULL AND v.keeper_file_id IN"
            " (SELECT file_id FROM files WHERE path = ? AND former = 0) ORDER BY v.verdict_id"
        )
        return [verdict_row(row) for row in self._db.rows(sql, (path,))]

    def judge_orphans_again(self) -> int:
        """Living files whose current verdict names a keeper that is gone or holds other bytes now wait to be judged
        again; says how many. A group whose keeper was removed finds its new keeper so."""
        orphans = (
            "SELECT v.duplicate_file_id FROM verdicts v JOIN files d ON d.file_id = v.duplicate_file_id"
            " JOIN files k ON k.file_id = v.keeper_file_id WHERE v.closed_at_ns IS NULL AND d.state = 'indexed'"
            " AND (k.state IN ('gone', 'failed', 'ignored')"
            " OR (k.state IN ('seen', 'indexed') AND k.image_id <> v.keeper_image_id))"
        )
        if self._db.one(f"{orphans} LIMIT 1") is None:
            return 0
        with self._db.writing():
            return self._db.run(f"UPDATE files SET state = 'seen' WHERE file_id IN ({orphans})")

    # -- marks -----------------------------------------------------------------------------------------------------

    def mark_not_duplicate(self, digest_a: bytes, digest_b: bytes, source: str) -> None:
        """These two contents are not duplicates of each other, for ever; current verdicts that say so are closed."""
        low, high = sorted((digest_a, digest_b))
        now_ns = self._clock.now_ns()
        with self._db.writing():
            self._db.run(
                "INSERT INTO not_duplicates VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (low, high, source, now_ns)
            )
            self._db.run(
                "UPDATE verdicts SET closed_at_ns = ?1, closed_reason = 'marked not-duplicate'"
                " WHERE closed_at_ns IS NULL AND ((duplicate_digest = ?2 AND keeper_digest = ?3)"
                " OR (duplicate_digest = ?3 AND keeper_digest = ?2))",
                (now_ns, low, high),
            )

    def is_not_duplicate(self, digest_a: bytes, digest_b: bytes) -> bool:
        """Whether the pair was marked, in either order."""
        pair = sorted((digest_a, digest_b))
        return self._db.one("SELECT 1 FROM not_duplicates WHERE low = ? AND high = ?", pair) is not None

    # -- inside the transaction ------------------------------------------------------------------------------------

    def _party(self, key: FileKey, digest: bytes) -> _Party | None:
        """The file at this path, if it is still the one that was judged."""
        row = self._db.one(
            "SELECT f.file_id, f.image_id FROM files f JOIN images i ON i.image_id = f.image_id"
            f" WHERE f.path = ? AND f.former = 0 AND f.{LIVING} AND i.digest = ?"
            " AND f.dev = ? AND f.ino = ? AND f.size = ? AND f.mtime_ns = ?",
            (key.path, digest, *identity_columns(key.identity)),
        )
        return _Party(*row) if row else None

    def _still_judged(self, file_id: int, keys: Mapping[int, FileKey] | None) -> bool:
        row = self._db.one("SELECT state, dev, ino, size, mtime_ns FROM files WHERE file_id = ?", (file_id,))
        if row is None or row[0] not in ("seen", "indexed"):
            return False
        return keys is None or file_id not in keys or row[1:] == identity_columns(keys[file_id].identity)

    def _refusal(self, verdict: Verdict, duplicate: _Party, keeper: _Party) -> str | None:
        if self.is_not_duplicate(verdict.duplicate_digest, verdict.keeper_digest):
            return "marked not-duplicate"
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
