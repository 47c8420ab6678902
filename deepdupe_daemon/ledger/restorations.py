"""What a person had brought back from quarantine."""

from __future__ import annotations

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.schema import identity_column

__all__ = ["Restorations"]


class Restorations(Opened):
    """Files that came back, or are on their way back."""

    def was_restored(self, path: bytes, ino: int, digest: bytes) -> bool:
        """Whether the file at `path`, of this inode and with these bytes, was brought back from quarantine.

        Then it is nobody's duplicate any more. The mark is on the file, known by its name or its inode, and not on its
        bytes: a pair of equal bytes would otherwise silence every later copy of them.
        """
        return (
            self._db.one(
                "SELECT 1 FROM action_files f JOIN actions a USING (action_id) WHERE f.digest = ?"
                " AND (f.target = ? OR f.target_ino = ?) AND a.state IN ('restoring', 'restored') LIMIT 1",
                (digest, path, identity_column(ino)),
            )
            is not None
        )
