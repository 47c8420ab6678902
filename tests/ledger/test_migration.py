"""Growing an old ledger: by numbered steps, in one transaction, with a copy kept before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deepdupe_daemon.errors import LedgerVersion, StateError
from deepdupe_daemon.ledger.connection import Database
from deepdupe_daemon.ledger.migration import bring_up_to_date, check_version, create_file
from deepdupe_daemon.ledger.schema import STEPS

ONE = "CREATE TABLE a (x); CREATE TRIGGER t AFTER INSERT ON a BEGIN\n DELETE FROM a WHERE x = 0;\n END;"
TWO = "ALTER TABLE a ADD COLUMN y;\nUPDATE a SET y = x + 1;"
THREE = "CREATE TABLE b (x);"
BROKEN = "CREATE TABLE c (x);\nINSERT INTO missing VALUES (1);"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return os.path.join(tmp_path, "ledger.sqlite")


def made(path: str, steps: tuple[str, ...]) -> Database:
    create_file(path, steps)
    return Database(path)


def test_an_old_ledger_takes_every_step_that_it_lacks(path: str) -> None:
    database = made(path, (ONE,))
    database.run("INSERT INTO a VALUES (1)")
    assert bring_up_to_date(database, (ONE, TWO, THREE)) == path.replace("ledger.", "ledger.schema-1.")
    assert database.rows("SELECT x, y FROM a") == [(1, 2)]
    assert database.rows("SELECT * FROM b") == []
    assert check_version(database, (ONE, TWO, THREE)) == 3
    database.close()


def test_a_ledger_of_today_is_left_alone(path: str) -> None:
    database = made(path, STEPS)
    assert bring_up_to_date(database) is None
    database.close()
    assert os.listdir(os.path.dirname(path)) == ["ledger.sqlite"]


def test_the_copy_is_the_ledger_as_it_was_and_private(path: str) -> None:
    database = made(path, (ONE,))
    database.run("INSERT INTO a VALUES (41)")
    copy = bring_up_to_date(database, (ONE, TWO))
    database.run("DELETE FROM a")
    database.close()
    assert copy is not None
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    old = Database(copy)
    assert check_version(old, (ONE,)) == 1
    assert old.rows("SELECT * FROM a") == [(41,)]
    old.close()


def test_a_step_that_fails_changes_nothing(path: str) -> None:
    database = made(path, (ONE,))
    with pytest.raises(StateError, match="missing"):
        bring_up_to_date(database, (ONE, TWO, BROKEN))
    assert check_version(database, (ONE,)) == 1
    assert database.rows("SELECT name FROM sqlite_schema WHERE name = 'c'") == []
    assert bring_up_to_date(database, (ONE, TWO)) is not None
    database.close()


def test_without_a_copy_there_is_no_step(path: str) -> None:
    database = made(path, (ONE,))
    os.mkdir(path.replace("ledger.", "ledger.schema-1."))  # stands in the copy's way
    with pytest.raises(StateError, match="no copy"):
        bring_up_to_date(database, (ONE, TWO))
    assert check_version(database, (ONE,)) == 1
    database.close()
    assert not [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".draft")]


def test_an_older_ledger_cannot_be_read_before_the_daemon_brought_it_up_to_date(path: str) -> None:
    made(path, (ONE,)).close()
    database = Database(path, readonly=True)
    with pytest.raises(LedgerVersion, match="start the daemon once"):
        check_version(database, (ONE, TWO), readonly=True)
    database.close()


def test_a_failed_creation_leaves_nothing(path: str) -> None:
    with pytest.raises(StateError):
        create_file(path, (BROKEN,))
    assert os.listdir(os.path.dirname(path)) == []


def test_a_file_that_is_there_is_never_replaced(path: str) -> None:
    Path(path).write_bytes(b"mine")
    create_file(path, STEPS)
    assert Path(path).read_bytes() == b"mine"


def test_a_filesystem_without_links_gets_its_ledger_too(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError("operation not permitted")  # what vfat says

    monkeypatch.setattr(os, "link", no_links)
    database = made(path, STEPS)
    assert check_version(database) == len(STEPS)
    database.close()
    assert os.listdir(os.path.dirname(path)) == ["ledger.sqlite"]
