"""What came, changed, moved and went."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from deepdupe_daemon.ledger.files import GONE, Files, identity_columns, tree_range
from deepdupe_daemon.ledger.rows import Noted
from deepdupe_daemon.model import Arrival, FileIdentity

__all__ = ["Arrivals"]

_LOOKUP_PATHS = 200
_HOLDER = "file_id, path, dev, ino, size, mtime_ns, state, was, image_id, live, retry_at_ns, root_length, former"


class _Row(NamedTuple):
    """A file row as `note_arrivals` needs it."""

    file_id: int
    path: bytes
    dev: int | str
    ino: int | str
    size: int
    mtime_ns: int | str
    state: str
    was: str | None
    image_id: int | None
    live: int
    retry_at_ns: int | None
    root_length: int
    former: int

    @property
    def identity(self) -> tuple[int | str, int | str, int, int | str]:
        return self[2:6]


class Arrivals(Files):
    """Intake's side of the ledger."""

    def note_arrivals(self, batch: Sequence[Arrival]) -> list[Noted]:
        """Take settled files in, in one transaction; says what each was. A batch of known files writes nothing.

        Another file's row that has the same device, inode, size and mtime, and whose own path no longer holds that
        identity, takes the new path (MOVED). Where it still holds it the arrival is a hard link, which is a file of its
        own. Raises ValueError for a path outside its root, StateError.
        """
        lengths = [self._root_length(arrival.key.path, arrival.root) for arrival in batch]
        rows = self._by_path([arrival.key.path for arrival in batch])
        now_ns = self._clock.now_ns()
        unknown = [
            at for at, arrival in enumerate(batch) if not self._is_known(rows.get(arrival.key.path), arrival, now_ns)
        ]
        noted = [Noted.KNOWN] * len(batch)
        if not unknown:
            return noted
        held: dict[bytes, tuple[Any, ...] | None] = {}
        for at in unknown:  # ahead of the lock: an lstat on a dead mount can hang
            for other in self._with_identity(batch[at].key.identity):
                self._holds(other, held)
        with self._db.writing():
            for at in unknown:
                noted[at] = self._note(batch[at], lengths[at], held, now_ns)
        return noted

    def note_gone(self, path: bytes) -> int:
        """The file at `path` is no longer there; says how many went, 0 or 1. The row keeps its image."""
        return self.note_gone_many([path])

    def note_gone_many(self, paths: Sequence[bytes]) -> int:
        """The files at `paths` are no longer there: one transaction, or none where all had gone before."""
        there = [path for path, row in self._by_path(paths).items() if row.state != "gone"]
        if not there:
            return 0
        with self._db.writing():
            return self._db.run_many(
                f"UPDATE files SET {GONE} WHERE path = ? AND former = 0 AND state <> 'gone'",
                ((path,) for path in there),
            )

    def note_gone_tree(self, prefix: bytes) -> int:
        """No file below `prefix` is there any longer; says how many there were."""
        with self._db.writing():
            return self._db.run(
                f"UPDATE files SET {GONE} WHERE path >= ? AND path < ? AND former = 0 AND state <> 'gone'",
                tree_range(prefix),
            )

    def _by_path(self, paths: Sequence[bytes]) -> dict[bytes, _Row]:
        rows: dict[bytes, _Row] = {}
        for start in range(0, len(paths), _LOOKUP_PATHS):
            some = paths[start : start + _LOOKUP_PATHS]
            marks = ",".join("?" * len(some))
            for row in self._db.rows(f"SELECT {_HOLDER} FROM files WHERE path IN ({marks}) AND former = 0", some):
                rows[row[1]] = _Row(*row)
        return rows

    def _with_identity(self, identity: FileIdentity) -> list[_Row]:
        """Rows of files that had this identity when last seen: those that are there first, then by discovery."""
        dev, ino, size, mtime_ns = identity_columns(identity)
        sql = (
            f"SELECT {_HOLDER} FROM files WHERE ino = ? AND dev = ? AND size = ? AND mtime_ns = ?"
            " ORDER BY state = 'gone', file_id"
        )
        return [_Row(*row) for row in self._db.rows(sql, (ino, dev, size, mtime_ns))]

    @staticmethod
    def _is_known(row: _Row | None, arrival: Arrival, now_ns: int) -> bool:
        if row is None or row.identity != identity_columns(arrival.key.identity):
            return False
        if row.root_length != len(arrival.root):
            return False
        if row.state == "failed":
            return row.retry_at_ns is None or row.retry_at_ns > now_ns
        if row.state == "pending":
            return bool(row.live) or not arrival.live
        return row.state != "gone"

    def _holds(self, row: _Row, held: dict[bytes, tuple[Any, ...] | None]) -> bool:
        """Whether the file at the row's path is still the one of the row; never where another row has the path."""
        if row.former:
            return False
        if row.path not in held:
            held[row.path] = self._identity_at(row.path)
        return held[row.path] in (row.identity, ())

    def _identity_at(self, path: bytes) -> tuple[Any, ...] | None:
        try:
            stat = self._lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return ()  # no permission, dead mount: taking it as still there costs one read at most
        return identity_columns(FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))

    def _note(
        self, arrival: Arrival, root_length: int, held: dict[bytes, tuple[Any, ...] | None], now_ns: int
    ) -> Noted:
        path, identity = arrival.key.path, arrival.key.identity
        row = self._by_path([path]).get(path)
        if self._is_known(row, arrival, now_ns):
            return Noted.KNOWN
        if row is not None and row.identity == identity_columns(identity):
            return self._again(row, arrival, root_length, now_ns)
        for other in self._with_identity(identity):
            if (other.former or other.path != path) and not self._holds(other, held):
                if row is not None:
                    self._displace(row)
                return self._move(other, arrival, root_length, now_ns)
        if row is not None:
            return self._change(row, arrival, root_length, now_ns)
        self._db.run(
            "INSERT INTO files (path, root_length, dev, ino, size, mtime_ns, state, live, arrived_at_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?)",
            (path, root_length, *identity_columns(identity), int(arrival.live), now_ns),
        )
        return Noted.PENDING

    def _again(self, row: _Row, arrival: Arrival, root_length: int, now_ns: int) -> Noted:
        """The same file at the same path: back again, to be retried, now under our eyes, or of another root."""
        if row.root_length != root_length:
            self._db.run("UPDATE files SET root_length = ? WHERE file_id = ?", (root_length, row.file_id))
            row = row._replace(root_length=root_length)
            if self._is_known(row, arrival, now_ns):
                return Noted.KNOWN
        state = self._state_on_return(row) if row.state == "gone" else "pending"
        self._db.run(
            "UPDATE files SET state = ?, was = NULL, live = max(live, ?), arrived_at_ns = ?,"
            " retry_at_ns = CASE ? WHEN 'failed' THEN retry_at_ns END WHERE file_id = ?",
            (state, int(arrival.live), now_ns, state, row.file_id),
        )
        return Noted.PENDING

    def _move(self, row: _Row, arrival: Arrival, root_length: int, now_ns: int) -> Noted:
        """`row` takes the arrival's path, with all that is known of it."""
        state = self._state_on_return(row) if row.state == "gone" else row.state
        self._db.run(
            "UPDATE files SET path = ?, former = 0, root_length = ?, state = ?, was = NULL, live = max(live, ?),"
            " arrived_at_ns = ? WHERE file_id = ?",
            (arrival.key.path, root_length, state, int(arrival.live), now_ns, row.file_id),
        )
        return Noted.PENDING if state == "pending" else Noted.MOVED

    def _displace(self, row: _Row) -> None:
        """Another file was moved over this one's path: it is gone, and kept as history beside the new holder."""
        self._db.run(
            f"UPDATE files SET {GONE}, former = file_id WHERE file_id = ?",
            (row.file_id,),
        )

    def _change(self, row: _Row, arrival: Arrival, root_length: int, now_ns: int) -> Noted:
        """Other bytes rest at the path now: whatever was known of the old ones no longer speaks of this file."""
        self._db.run(
            "UPDATE verdicts SET closed_at_ns = ?, closed_reason = 'changed'"
            " WHERE duplicate_file_id = ? AND closed_at_ns IS NULL",
            (now_ns, row.file_id),
        )
        self._db.run(
            "UPDATE files SET root_length = ?, dev = ?, ino = ?, size = ?, mtime_ns = ?, state = 'pending', was = NULL,"
            " image_id = NULL, lacks_vectors = 0, live = ?, attempts = 0, error_kind = NULL, error = NULL,"
            " retry_at_ns = NULL, arrived_at_ns = ? WHERE file_id = ?",
            (root_length, *identity_columns(arrival.key.identity), int(arrival.live), now_ns, row.file_id),
        )
        return Noted.PENDING

    def _state_on_return(self, row: _Row) -> str:
        """No decode where the image has all its vectors, but it is judged again: its keeper may have gone meanwhile."""
        if row.image_id is not None and row.was != "pending" and not self._lacks_vectors(row.image_id):
            return "seen"
        return row.was if row.was in ("failed", "ignored") else "pending"

    def _lacks_vectors(self, image_id: int) -> bool:
        """Whether a space that serves has come since the image was seen."""
        sql = (
            "SELECT 1 FROM spaces s WHERE instr(s.name, '~') = 0"
            " AND NOT EXISTS (SELECT 1 FROM marks m WHERE m.space_id = s.space_id AND m.image_id = ?) LIMIT 1"
        )
        return self._db.one(sql, (image_id,)) is not None
