"""Verdicts: one current verdict per duplicate file, the rest is history."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.files import tree_range
from deepdupe_daemon.ledger.rows import Standing, VerdictRow
from deepdupe_daemon.ledger.verdict_row import VERDICTS, verdict_row
from deepdupe_daemon.model import VerdictClass

__all__ = ["Verdicts"]

_PAGE_ROWS = 500
_LOOKUP_IDS = 200


class Verdicts(Opened):
    """Looking verdicts up, telling of them, and what people say of them."""

    def verdict(self, verdict_id: int) -> VerdictRow | None:
        row = self._db.one(f"{VERDICTS} WHERE v.verdict_id = ?", (verdict_id,))
        return verdict_row(row) if row else None

    def unalerted(self, limit: int) -> list[VerdictRow]:
        """Current verdicts that nobody was told of yet, oldest first. Those with an order that was not tried yet are
        left out: what came of it is part of the alert."""
        sql = (
            f"{VERDICTS} WHERE v.closed_at_ns IS NULL AND v.alerted_at_ns IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM orders o WHERE o.verdict_id = v.verdict_id AND o.state = 'wanted')"
            " ORDER BY v.verdict_id LIMIT ?"
        )
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

    def standings(self, file_ids: Sequence[int]) -> dict[int, Standing]:
        """The current verdict on each of these files, in short; files without one are left out."""
        found: dict[int, Standing] = {}
        for start in range(0, len(file_ids), _LOOKUP_IDS):
            some = file_ids[start : start + _LOOKUP_IDS]
            rows = self._db.rows(
                "SELECT v.duplicate_file_id, v.class, v.duplicate_image_id, v.keeper_file_id, v.keeper_image_id,"
                " k.file_id IS NOT NULL FROM verdicts v LEFT JOIN files k ON k.file_id = v.keeper_file_id"
                "  AND k.image_id = v.keeper_image_id AND k.state IN ('seen', 'indexed')"
                f" WHERE v.closed_at_ns IS NULL AND v.duplicate_file_id IN ({','.join('?' * len(some))})",
                some,
            )
            for file_id, name, image_id, keeper_file_id, keeper_image_id, there in rows:
                found[file_id] = Standing(VerdictClass(name), image_id, keeper_file_id, keeper_image_id, bool(there))
        return found

    def copies_in_group(self, keeper_file_id: int) -> list[int]:
        """The files whose current verdict says that they are proven copies of this one."""
        classes = [str(each) for each in VerdictClass if each.proven]
        rows = self._db.rows(
            "SELECT duplicate_file_id FROM verdicts WHERE keeper_file_id = ? AND closed_at_ns IS NULL"
            f" AND class IN ({','.join('?' * len(classes))}) ORDER BY duplicate_file_id",
            (keeper_file_id, *classes),
        )
        return [row[0] for row in rows]

    def judge_all_again(self) -> int:
        """Every group is judged again, from what is known of its pairs: the rules that choose keepers are others now.

        Says how many files wait. Current verdicts are closed, so that none of the old order is in the way of the new.
        """
        with self._db.writing():
            waiting = self._db.run(
                "UPDATE files SET state = 'seen' WHERE state = 'indexed' AND file_id IN ("
                " SELECT duplicate_file_id FROM verdicts WHERE closed_at_ns IS NULL"
                " UNION SELECT keeper_file_id FROM verdicts WHERE closed_at_ns IS NULL)"
            )
            self._db.run(
                "UPDATE verdicts SET closed_at_ns = ?, closed_reason = 'judged again' WHERE closed_at_ns IS NULL",
                (self._clock.now_ns(),),
            )
        return waiting

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
        """These two contents are not duplicates of each other, for ever; current verdicts that say so are closed.

        The files that hold them wait to be judged again: each may be the copy, or the keeper, of another now.
        """
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
            self._db.run(
                "UPDATE files SET state = 'seen' WHERE state = 'indexed' AND image_id IN"
                " (SELECT image_id FROM images WHERE digest IN (?, ?))",
                (low, high),
            )

    def is_not_duplicate(self, digest_a: bytes, digest_b: bytes) -> bool:
        """Whether the pair was marked, in either order."""
        pair = sorted((digest_a, digest_b))
        return self._db.one("SELECT 1 FROM not_duplicates WHERE low = ? AND high = ?", pair) is not None
