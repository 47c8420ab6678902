"""A ledger file comes into being whole, and grows by numbered steps with a copy of it kept before."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence

from deepdupe_daemon.errors import LedgerVersion, StateError
from deepdupe_daemon.ledger.connection import Database, explain
from deepdupe_daemon.ledger.schema import APPLICATION_ID, PAGE_BYTES, STEPS

__all__ = ["bring_up_to_date", "check_version", "create_file"]


def create_file(path: str, steps: Sequence[str] = STEPS) -> None:
    """Make an empty ledger at `path`, mode 0600, unless a file is there.

    It is built under another name and linked into place, so that nobody, not even after a crash, ever sees half a
    schema, or a file that others may read.
    """
    folder = os.path.dirname(path)
    if os.path.lexists(path):
        return
    try:
        fd, draft = tempfile.mkstemp(prefix=".ledger-", suffix=".draft", dir=folder)
        os.fchmod(fd, 0o600)
        os.close(fd)
    except OSError as error:
        raise StateError(
            f"the ledger cannot be made: {error.strerror}", where=path, hint="check owner and permissions"
        ) from error
    try:
        database = Database(draft)
        try:
            database.run(f"PRAGMA page_size = {PAGE_BYTES}")
            database.rows("PRAGMA journal_mode = WAL")
            with database.writing():
                _apply(database, steps, after=0)
        finally:
            database.close()
        _link(draft, path)
    finally:
        for leftover in (draft, draft + "-wal", draft + "-shm"):
            if os.path.lexists(leftover):
                os.unlink(leftover)
    _sync_folder(folder)


def bring_up_to_date(database: Database, steps: Sequence[str] = STEPS) -> str | None:
    """Apply the steps that the ledger lacks, in one transaction. Gives the path of the copy made before, if any.

    Raises LedgerVersion where the ledger is newer than `steps`, StateError where it is no ledger.
    """
    if check_version(database, steps) == len(steps):
        return None
    with database.writing():
        version = check_version(database, steps)  # another process may have been faster
        if version == len(steps):
            return None
        copy = _copy(database.path, version)
        _apply(database, steps, after=version)
    return copy


def check_version(database: Database, steps: Sequence[str] = STEPS, *, readonly: bool = False) -> int:
    """The schema number of the ledger. Raises StateError, LedgerVersion."""
    application = database.rows("PRAGMA application_id")[0][0]
    version = int(database.rows("PRAGMA user_version")[0][0])
    if application != APPLICATION_ID or version < 1:
        raise StateError("is no ledger", where=database.path, hint="move it away, or choose another state dir")
    if version > len(steps):
        raise LedgerVersion(
            f"the ledger has schema {version}, this program knows {len(steps)}",
            where=database.path,
            hint="use the newer deepdupe-daemon, or restore the copy that was made before the upgrade",
        )
    if readonly and version < len(steps):
        raise LedgerVersion(
            f"the ledger has schema {version}, this program reads {len(steps)}",
            where=database.path,
            hint="start the daemon once: it brings the ledger up to date",
        )
    return version


def _apply(database: Database, steps: Sequence[str], *, after: int) -> None:
    for step in steps[after:]:
        for statement in _statements(step):
            database.run(statement)
    database.run(f"PRAGMA application_id = {APPLICATION_ID}")
    database.run(f"PRAGMA user_version = {len(steps)}")


def _statements(script: str) -> Iterator[str]:
    """The single statements of a script: `executescript` would commit the transaction around them."""
    statement = ""
    for piece in script.split(";")[:-1]:
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    assert not statement, f"unfinished statement: {statement}"


def _copy(path: str, version: int) -> str:
    """Copy the ledger to `ledger.schema-N.sqlite` beside it, mode 0600, synced; gives its path.

    The caller holds the write lock, so a connection beside it reads exactly what the steps will change.
    """
    folder, name = os.path.split(path)
    stem = name.removesuffix(".sqlite")
    copy = os.path.join(folder, f"{stem}.schema-{version}.sqlite")
    try:
        fd, draft = tempfile.mkstemp(prefix=".ledger-", suffix=".draft", dir=folder)
        try:
            os.fchmod(fd, 0o600)
            source, target = Database(path, readonly=True), Database(draft)
            try:
                source.raw.backup(target.raw)
            finally:
                source.close()
                target.close()
            os.fsync(fd)
            os.replace(draft, copy)
        except BaseException:
            os.unlink(draft)
            raise
        finally:
            os.close(fd)
    except OSError as error:
        raise StateError(
            f"no copy could be made before the upgrade: {error.strerror}", where=copy, hint="free some space"
        ) from error
    except sqlite3.Error as error:
        raise explain(error, copy) from error
    _sync_folder(folder)
    return copy


def _link(draft: str, path: str) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return  # another process was faster; its ledger is as good
    except OSError:
        os.rename(draft, path)  # vfat and exfat have no links; `lock_state_dir` keeps others away


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
