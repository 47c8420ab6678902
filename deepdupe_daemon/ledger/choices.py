"""Keepers that a person has chosen: which file, holding which bytes, and when."""
# ruff: noqa: S608 - only "?" marks are put into SQL, never a value

from __future__ import annotations

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.rows import FileRow

__all__ = ["Choices"]


class Choices(Opened):
    """A choice is a row of `meta`, `chosen:FILE`, that names the bytes: other bytes under that name were not chosen."""

    def choose_keeper(self, verdict_id: int) -> bool:
        """The duplicate of this verdict is to be kept rather than its keeper; False where it no longer stands.

        The files of the group wait to be judged again, and the verdicts on those that are there are closed. What rests
        in quarantine keeps its verdict, by which it is restored.
        """
        now_ns = self._clock.now_ns()
        with self._db.writing():
            found = self._db.one(
                "SELECT v.duplicate_file_id, v.keeper_file_id, v.duplicate_digest FROM verdicts v"
                " JOIN files f ON f.file_id = v.duplicate_file_id AND f.image_id = v.duplicate_image_id"
                " WHERE v.verdict_id = ? AND v.closed_at_ns IS NULL AND f.state IN ('seen', 'indexed')",
                (verdict_id,),
            )
            if found is None:
                return False
            chosen, keeper, digest = found
            self._db.run(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (_key(chosen), f"{digest.hex()} {now_ns}"),
            )
            group = "SELECT duplicate_file_id FROM verdicts WHERE closed_at_ns IS NULL AND keeper_file_id IN (?1, ?2)"
            self._db.run(
                "UPDATE files SET state = 'seen'"
                f" WHERE state = 'indexed' AND (file_id IN (?1, ?2) OR file_id IN ({group}))",
                (chosen, keeper),
            )
            self._db.run(
                "UPDATE verdicts SET closed_at_ns = ?3, closed_reason = 'judged again'"
                " WHERE closed_at_ns IS NULL AND keeper_file_id IN (?1, ?2)"
                " AND duplicate_file_id IN (SELECT file_id FROM files WHERE state = 'seen')",
                (chosen, keeper, now_ns),
            )
        return True

    def chosen_at_ns(self, row: FileRow) -> int:
        """When a person chose that this file, with these bytes, is kept; 0: nobody did."""
        found = self._db.one("SELECT value FROM meta WHERE key = ?", (_key(row.file_id),))
        if found is None or row.digest is None:
            return 0
        digest, _, at_ns = str(found[0]).partition(" ")
        return int(at_ns) if digest == row.digest.hex() else 0


def _key(file_id: int) -> str:
    return f"chosen:{int(file_id)}"
