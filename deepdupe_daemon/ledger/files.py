"""File rows: how they are read, and what a path's row is."""
# ruff: noqa: S608 - only names of ours and "?" marks are put into SQL, never a value

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from deepdupe_daemon.ledger.connection import Opened
from deepdupe_daemon.ledger.rows import FileRow, KnownRow
from deepdupe_daemon.ledger.schema import LIVING, identity_column
from deepdupe_daemon.model import FileIdentity, FileKey, FileState

__all__ = ["FILE_COLUMNS", "GONE", "Files", "file_row", "identity_columns", "tree_range"]

#: what `file_row` reads; wants `files f LEFT JOIN images i USING (image_id)`
FILE_COLUMNS = (
    "f.file_id, f.path, f.dev, f.ino, f.size, f.mtime_ns, f.root_length, f.state, f.image_id, i.digest, f.live,"
    " f.attempts, f.error_kind, f.error, f.arrived_at_ns, f.retry_at_ns"
)
_FILES = f"SELECT {FILE_COLUMNS} FROM files f LEFT JOIN images i ON i.image_id = f.image_id"
_PAGE_ROWS = 2000
#: the SET clause of a file that is no longer where its row says
GONE = "was = CASE state WHEN 'gone' THEN was ELSE state END, state = 'gone', lacks_vectors = 0"


def file_row(row: tuple[Any, ...]) -> FileRow:
    path: bytes = row[1]
    return FileRow(
        file_id=row[0],
        key=FileKey(path, FileIdentity(int(row[2]), int(row[3]), row[4], int(row[5]))),
        root=path[: row[6]],
        state=FileState(row[7]),
        image_id=row[8],
        digest=row[9],
        live=bool(row[10]),
        attempts=row[11],
        error_kind=row[12],
        error=row[13],
        arrived_at_ns=row[14],
        retry_at_ns=row[15],
    )


def identity_columns(identity: FileIdentity) -> tuple[int | str, int | str, int, int | str]:
    """`identity` as (dev, ino, size, mtime_ns) rest in their columns."""
    return (
        identity_column(identity.dev),
        identity_column(identity.ino),
        identity.size,
        identity_column(identity.mtime_ns),
    )


def tree_range(prefix: bytes) -> tuple[bytes, bytes]:
    """The half-open range that holds exactly the paths below `prefix`: b'0' is the byte after b'/'."""
    stem = prefix.rstrip(b"/")
    return stem + b"/", stem + b"0"


class Files(Opened):
    """Looking files up."""

    def file(self, file_id: int) -> FileRow | None:
        row = self._db.one(f"{_FILES} WHERE f.file_id = ?", (file_id,))
        return file_row(row) if row else None

    def file_by_path(self, path: bytes) -> FileRow | None:
        """The row that holds `path`, gone or not."""
        row = self._db.one(f"{_FILES} WHERE f.path = ? AND f.former = 0", (path,))
        return file_row(row) if row else None

    def living_files(self, image_id: int) -> list[FileRow]:
        """The files that rest with these bytes (states seen and indexed), who was there first at the head."""
        sql = f"{_FILES} WHERE f.image_id = ? AND f.{LIVING} ORDER BY f.file_id"
        return [file_row(row) for row in self._db.rows(sql, (image_id,))]

    def files_below(self, root: bytes) -> int:
        """How many files rest below `root`. Reads every row there."""
        sql = "SELECT count(*) FROM files WHERE path >= ? AND path < ? AND former = 0 AND state <> 'gone'"
        return int(self._db.rows(sql, tree_range(root))[0][0])

    def failed(self, limit: int) -> list[FileRow]:
        """Files that could not be seen, by file_id."""
        sql = f"{_FILES} WHERE f.state = 'failed' ORDER BY f.file_id LIMIT ?"
        return [file_row(row) for row in self._db.rows(sql, (limit,))]

    def known_paths(self, root: bytes) -> Iterator[tuple[bytes, FileIdentity, FileState]]:
        """Every path below `root` that is not gone, sorted by bytes; in pages, so that no transaction lingers."""
        for path, dev, ino, size, mtime_ns, state in self.known_rows(root):
            yield path, FileIdentity(int(dev), int(ino), size, int(mtime_ns)), FileState(state)

    def known_rows(self, root: bytes) -> Iterator[KnownRow]:
        """The same as it rests, for a walk that compares a million of them: half of the price."""
        low, high = tree_range(root)
        comparison = ">="
        while True:
            page = self._db.rows(
                "SELECT path, dev, ino, size, mtime_ns, state FROM files"
                f" WHERE path {comparison} ? AND path < ? AND former = 0 AND state <> 'gone' ORDER BY path LIMIT ?",
                (low, high, _PAGE_ROWS),
            )
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            low, comparison = page[-1][0], ">"

    @staticmethod
    def _root_length(path: bytes, root: bytes) -> int:
        if not path.startswith(tree_range(root)[0]):
            raise ValueError(f"{os.fsdecode(path)!r} does not lie below {os.fsdecode(root)!r}")
        return len(root)
