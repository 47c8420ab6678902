"""The durable queue: what waits to be seen or judged."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from deepdupe_daemon.ledger.files import FILE_COLUMNS, Files, file_row
from deepdupe_daemon.ledger.rows import FileRow
from deepdupe_daemon.model import FileState

__all__ = ["Queue"]

_LOOKUP_IDS = 200


class Queue(Files):
    """Taking work does not change it: who takes it says by `after` what is in flight, and a crash loses nothing."""

    def take_pending(self, limit: int, *, after: Collection[int] = ()) -> list[FileRow]:
        """Up to `limit` files to be seen, but those in `after`: live ones first, then in order of discovery.

        Failed files whose `retry_at_ns` has come become pending here. Last come files that are known and lack a vector
        in a space that came later (`requeue_missing`): they stay in their state, seen or indexed, until they are seen.
        """
        self._retry_due()
        rows = self._take(
            "SELECT file_id FROM files WHERE state = 'pending' ORDER BY live DESC, file_id LIMIT ?", limit, after
        )
        if len(rows) < limit:
            lacking = "SELECT file_id FROM files WHERE lacks_vectors = 1 ORDER BY file_id LIMIT ?"
            rows += [replace(row, live=False) for row in self._take(lacking, limit - len(rows), after)]
        return rows

    def take_seen(self, limit: int, *, after: Collection[int] = ()) -> list[FileRow]:
        """Up to `limit` files whose vectors are committed and which wait to be judged, in order of discovery."""
        sql = "SELECT file_id FROM files WHERE state = 'seen' AND lacks_vectors = 0 ORDER BY file_id LIMIT ?"
        return self._take(sql, limit, after)

    def next_retry_at_ns(self) -> int | None:
        """The wall time of the next try of a failed file, or None where none lies ahead."""
        sql = "SELECT min(retry_at_ns) FROM files WHERE state = 'failed' AND retry_at_ns IS NOT NULL"
        row = self._db.one(sql)
        return row[0] if row is not None else None

    def counts(self) -> dict[FileState, int]:
        """How many files are in each state; a state without files has 0. Costs the same for any number of files."""
        rows = self._db.rows("SELECT state, sum(files) FROM tally GROUP BY state")
        return {FileState(state): files for state, files in rows}

    def pending_counts(self) -> tuple[int, int]:
        """Files that `take_pending` would give, as (live, backfill)."""
        rows: dict[int, int] = dict(self._db.rows("SELECT live, files FROM tally WHERE state = 'pending'"))
        lacking = self._db.rows("SELECT count(*) FROM files WHERE lacks_vectors = 1")[0][0]
        return rows[1], rows[0] + lacking

    def _retry_due(self) -> None:
        due = "state = 'failed' AND retry_at_ns IS NOT NULL AND retry_at_ns <= ?"
        now_ns = self._clock.now_ns()
        if self._db.one(f"SELECT 1 FROM files WHERE {due}", (now_ns,)):
            with self._db.writing():
                self._db.run(f"UPDATE files SET state = 'pending', retry_at_ns = NULL WHERE {due}", (now_ns,))

    def _take(self, sql: str, limit: int, after: Collection[int]) -> list[FileRow]:
        """The ids alone come from the index; what is in flight stands at its head, so little is read in vain."""
        left_out = set(after)
        ids = [i for (i,) in self._db.rows(sql, (limit + len(left_out),)) if i not in left_out][:limit]
        found: dict[int, FileRow] = {}
        for start in range(0, len(ids), _LOOKUP_IDS):
            some = ids[start : start + _LOOKUP_IDS]
            marks = ",".join("?" * len(some))
            for row in self._db.rows(
                f"SELECT {FILE_COLUMNS} FROM files f LEFT JOIN images i ON i.image_id = f.image_id"
                f" WHERE f.file_id IN ({marks})",
                some,
            ):
                found[row[0]] = file_row(row)
        return [found[i] for i in ids if i in found]
