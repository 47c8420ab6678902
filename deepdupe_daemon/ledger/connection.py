"""One SQLite connection: how it is opened, how it writes, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import EX_TEMPFAIL, StateError

__all__ = ["Database", "LedgerFull", "Lstat", "Opened", "explain"]

#: as `os.lstat`
Lstat = Callable[[bytes], os.stat_result]

#: A writer holds the lock for one group commit; the longest is a walk's batch, well under a second.
_BUSY_TIMEOUT_S = 30.0
#: pages of WAL before it is copied back: 1,000 x 16 KiB = 16 MiB
_WAL_PAGES = 1000
#: what a WAL that once grew is cut back to
_WAL_BYTES = 64 * 2**20
#: Of each connection, and each thread has one; the kernel caches the rest. With four times as much new rows come no
#: faster, and a service with a million files takes 100 MB more.
_CACHE_KIB = 4 * 1024

_SETTINGS = (
    f"PRAGMA cache_size = -{_CACHE_KIB}",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA foreign_keys = ON",
)
_WRITER_SETTINGS = (
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}",
    f"PRAGMA journal_size_limit = {_WAL_BYTES}",
)

Row = tuple[Any, ...]


class LedgerFull(StateError):
    """The disk that holds the ledger is full; nothing of the transaction was kept, and it can be repeated later."""

    exit_code = EX_TEMPFAIL
    retryable = True


def explain(error: sqlite3.Error, where: str) -> StateError:
    """What an SQLite error means for the person who runs the daemon."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    match primary:
        case sqlite3.SQLITE_FULL:
            return LedgerFull("the disk that holds the ledger is full", where=where, hint="free some space")
        case sqlite3.SQLITE_NOTADB:
            return StateError("is no ledger", where=where, hint="move it away, or choose another state dir")
        case sqlite3.SQLITE_CORRUPT:
            return StateError(
                f"the ledger is damaged: {error}", where=where, hint="move it away, or restore a backup of it"
            )
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StateError(f"the ledger cannot be opened: {error}", where=where, hint="check owner and permissions")
        case sqlite3.SQLITE_READONLY:
            return StateError(f"the ledger cannot be written: {error}", where=where, hint="check owner and permissions")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StateError(
                f"another process has held the ledger for {_BUSY_TIMEOUT_S:.0f} s", where=where, hint="find out which"
            )
        case _:
            return StateError(f"the ledger cannot be used: {error}", where=where)


class Database:
    """A connection in autocommit mode whose writes are explicit transactions. Used by the thread that made it."""

    def __init__(self, path: str, *, readonly: bool = False, immutable: bool = False) -> None:
        """Open the existing file at `path`. Raises StateError."""
        self.path = path
        mode = "mode=ro&immutable=1" if immutable else "mode=ro" if readonly else "mode=rw"
        try:
            self.raw = sqlite3.connect(
                f"file:{quote(os.fsencode(path))}?{mode}", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None
            )
        except sqlite3.Error as error:
            raise explain(error, path) from error
        try:
            for setting in _SETTINGS if readonly else _SETTINGS + _WRITER_SETTINGS:
                self.raw.execute(setting)
        except sqlite3.Error as error:
            self.raw.close()
            raise explain(error, path) from error

    def close(self) -> None:
        self.raw.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        try:
            return self.raw.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        try:
            row: Row | None = self.raw.execute(sql, parameters).fetchone()
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        return row

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Execute one statement; says how many rows it changed."""
        try:
            return self.raw.execute(sql, parameters).rowcount
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    def insert(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Execute an INSERT of one row; gives its row id."""
        try:
            row_id = self.raw.execute(sql, parameters).lastrowid
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        assert row_id is not None
        return row_id

    def run_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> int:
        """Execute one statement with each of `parameters`; says how many rows were changed in all."""
        try:
            return self.raw.executemany(sql, parameters).rowcount
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction that holds the write lock from its start, so that it never fails half-way for a lock.

        Inside another one it is a part of that: what the outer one commits or gives up.
        """
        if self.raw.in_transaction:
            yield
        else:
            yield from self._transaction()

    def _transaction(self) -> Iterator[None]:
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
            raise


class Opened:
    """What every part of the ledger stands on: the connection, the clock, and how to look at a path."""

    def __init__(self, database: Database, clock: Clock, lstat: Lstat) -> None:
        self._db = database
        self._clock = clock
        self._lstat = lstat
