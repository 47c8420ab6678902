"""The one public class: a connection with every part of the ledger on it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from deepdupe_daemon.clock import Clock
from deepdupe_daemon.errors import LedgerVersion, StateError
from deepdupe_daemon.ledger.action_states import ActionStates
from deepdupe_daemon.ledger.arrivals import Arrivals
from deepdupe_daemon.ledger.choices import Choices
from deepdupe_daemon.ledger.connection import Database, Lstat
from deepdupe_daemon.ledger.judgements import Judgements
from deepdupe_daemon.ledger.lock import make_state_dir
from deepdupe_daemon.ledger.migration import bring_up_to_date, check_version, create_file
from deepdupe_daemon.ledger.orders import Orders
from deepdupe_daemon.ledger.pairs import Pairs
from deepdupe_daemon.ledger.queue import Queue
from deepdupe_daemon.ledger.results import Results
from deepdupe_daemon.ledger.switching import Switching
from deepdupe_daemon.ledger.tallies import Tallies

__all__ = ["LEDGER_NAME", "Ledger"]

LEDGER_NAME = "ledger.sqlite"


class Ledger(Arrivals, Queue, Results, Switching, Pairs, Judgements, ActionStates, Orders, Choices, Tallies):
    """What is known of every file, image, vector and verdict, and what waits to be done.

    One object is one SQLite connection, owned by the thread that opened it. Several may be open at once, in this and in
    other processes: readers see what was committed, writers wait for each other. Every method that writes commits
    before it returns (inside `together`: at its end), synced to the disk (WAL, synchronous=FULL). All raise StateError
    when the file cannot be used, its subclass LedgerFull when the disk is full.
    """

    #: where the copy lies that was made when `open` brought this ledger up to date; None where it was so already
    copy_before_upgrade: str | None = None

    @classmethod
    def open(cls, state_dir: Path, clock: Clock, *, readonly: bool = False, lstat: Lstat = os.lstat) -> Self:
        """Open the ledger of `state_dir`, made (folder 0700, file 0600) and brought up to date where needed.

        `readonly` makes and changes no ledger, and works beside a daemon that writes (SQLite itself may leave its empty
        -wal and -shm files where no daemon runs). Raises StateError, LedgerVersion.
        """
        path = os.path.join(state_dir, LEDGER_NAME)
        if readonly:
            return cls(_open_readonly(path), clock, lstat)
        make_state_dir(state_dir)
        create_file(path)
        database = Database(path)
        try:
            copy = bring_up_to_date(database)
            database.rows("PRAGMA journal_mode = WAL")  # a copy made by VACUUM INTO and put in place has lost it
        except BaseException:
            database.close()
            raise
        ledger = cls(database, clock, lstat)
        ledger.copy_before_upgrade = copy
        return ledger

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def together(self) -> AbstractContextManager[None]:
        """What is written inside is one transaction, on the disk at its end or not at all: one sync for many writes."""
        return self._db.writing()

    def meta(self, key: str) -> str | None:
        """A word kept under `key`, such as when the last walk ended."""
        row = self._db.one("SELECT value FROM meta WHERE key = ?", (key,))
        return row[0] if row else None

    def set_meta(self, key: str, value: str) -> None:
        with self._db.writing():
            self._db.run(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
            )

    def damage(self) -> list[str]:
        """Read every page and check every row, index and reference; what is wrong, nothing if all is well. Slow."""
        found = [str(row[0]) for row in self._db.rows("PRAGMA integrity_check")]
        found += [
            f"a row of {row[0]} refers to a missing {row[2]}" for row in self._db.rows("PRAGMA foreign_key_check")
        ]
        return [text for text in found if text != "ok"]

    def checkpoint(self) -> None:
        """Copy the write-ahead log back into the ledger and cut it to nothing, as far as readers allow."""
        self._db.rows("PRAGMA wal_checkpoint(TRUNCATE)")


def _open_readonly(path: str) -> Database:
    """A reader needs the -shm file beside the ledger. Where there is none and the folder cannot be written, nobody is
    at work: then the file alone is read, as it was left when it was closed."""
    try:
        os.stat(path)
    except FileNotFoundError as error:
        raise StateError(
            "there is no ledger", where=path, hint="start the daemon, or name another state dir"
        ) from error
    except OSError as error:
        raise StateError(f"the ledger cannot be read: {error.strerror}", where=path) from error
    try:
        return _checked(Database(path, readonly=True))
    except LedgerVersion:
        raise
    except StateError:
        if os.path.exists(path + "-wal") or os.access(os.path.dirname(path), os.W_OK):
            raise
    return _checked(Database(path, readonly=True, immutable=True))


def _checked(database: Database) -> Database:
    try:
        check_version(database, readonly=True)
    except BaseException:
        database.close()
        raise
    return database
