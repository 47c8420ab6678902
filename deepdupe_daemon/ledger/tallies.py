"""What happened since a moment, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.model import VerdictClass

__all__ = ["Happened", "Tallies"]


@dataclass(frozen=True, slots=True)
class Happened:
    """Counts since a moment. `duplicates`: files whose first verdict was given since, by its class as it stands now."""

    files: int  # noted since, whatever became of them
    images: int  # different contents seen for the first time
    duplicates: dict[VerdictClass, int]
    failed: int  # of those files, that could not be read
    quarantined: int  # actions
    restored: int


class Tallies(Opened):
    """Reads only. Each call looks through the rows: once a day, not once a second."""

    def happened_since(self, since_ns: int) -> Happened:
        """What happened at `since_ns` or later."""
        classes = self._db.rows(
            "SELECT class, count(*) FROM verdicts"
            " WHERE decided_at_ns >= ? AND first = 1 AND closed_at_ns IS NULL GROUP BY class",
            (since_ns,),
        )
        return Happened(
            files=self._count("SELECT count(*) FROM files WHERE arrived_at_ns >= ?", since_ns),
            images=self._count("SELECT count(*) FROM images WHERE first_seen_at_ns >= ?", since_ns),
            duplicates={VerdictClass(name): int(count) for name, count in classes},
            failed=self._count("SELECT count(*) FROM files WHERE state = 'failed' AND arrived_at_ns >= ?", since_ns),
            quarantined=self._count("SELECT count(*) FROM actions WHERE moved_at_ns >= ?", since_ns),
            restored=self._count(
                "SELECT count(*) FROM actions WHERE state = 'restored' AND changed_at_ns >= ?", since_ns
            ),
        )

    def _count(self, sql: str, since_ns: int) -> int:
        row = self._db.one(sql, (since_ns,))
        return int(row[0]) if row else 0
