"""How a ledger comes into being, who may read it, and what it says when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock, SystemClock
from deepdupe_daemon.errors import LedgerVersion, StateError
from deepdupe_daemon.ledger import LEDGER_NAME, Ledger, LedgerFull
from deepdupe_daemon.model import FileState
from tests.ledger.build import SPACE, add, arrival


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_can_read_it_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    code = (
        "import os, sys, pathlib; os.umask(int(sys.argv[2]))\n"
        "from deepdupe_daemon.clock import SystemClock; from deepdupe_daemon.ledger import Ledger\n"
        "with Ledger.open(pathlib.Path(sys.argv[1]), SystemClock()) as ledger:\n"
        "    ledger.set_meta('a', 'b')\n"
        "    print(sorted(os.listdir(sys.argv[1])), flush=True); input()"
    )
    state_dir = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(state_dir), str(umask)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "['ledger.sqlite', 'ledger.sqlite-shm', 'ledger.sqlite-wal']\n"
        assert mode(state_dir) == 0o700
        assert {mode(path) for path in state_dir.iterdir()} == {0o600}
        child.communicate("\n")
    assert child.returncode == 0
    assert os.listdir(state_dir) == [LEDGER_NAME]


def test_a_folder_that_was_there_keeps_its_mode(state_dir: Path, clock: ManualClock) -> None:
    state_dir.mkdir()
    state_dir.chmod(0o750)
    Ledger.open(state_dir, clock).close()
    assert mode(state_dir) == 0o750


def test_it_is_durable_and_says_what_it_is(ledger: Ledger, state_dir: Path) -> None:
    def pragma(name: str) -> object:
        return ledger._db.rows(f"PRAGMA {name}")[0][0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("foreign_keys") == 1
    assert pragma("application_id") == 0x44447570
    assert pragma("wal_autocheckpoint") == 1000
    assert (state_dir / LEDGER_NAME).read_bytes()[:15] == b"SQLite format 3"


def test_what_was_written_is_there_when_opened_again(state_dir: Path, clock: ManualClock) -> None:
    with Ledger.open(state_dir, clock) as ledger:
        ledger.note_arrivals([arrival("a.jpg", 1)])
        ledger.set_meta("walked", "yesterday")
        ledger.set_meta("walked", "today")
    with Ledger.open(state_dir, clock) as ledger:
        assert [row.key for row in ledger.take_pending(9)] == [arrival("a.jpg", 1).key]
        assert ledger.meta("walked") == "today"
        assert ledger.meta("never") is None


def test_a_restored_copy_serves_as_the_original_did(state_dir: Path, clock: ManualClock) -> None:
    with Ledger.open(state_dir, clock) as ledger:
        ledger.set_meta("a", "b")
        ledger._db.run("VACUUM INTO ?", (str(state_dir / "copy"),))
    os.replace(state_dir / "copy", state_dir / LEDGER_NAME)
    with Ledger.open(state_dir, clock) as ledger:
        assert ledger.meta("a") == "b"
        assert ledger._db.rows("PRAGMA journal_mode") == [("wal",)]


def test_a_state_dir_may_have_any_name(tmp_path: Path, clock: ManualClock) -> None:
    state_dir = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a?b#c %41 \xff\n"))
    with Ledger.open(state_dir, clock) as ledger:
        ledger.set_meta("a", "b")
    with Ledger.open(state_dir, clock, readonly=True) as ledger:
        assert ledger.meta("a") == "b"
    assert os.listdir(state_dir) == [LEDGER_NAME] or LEDGER_NAME in os.listdir(state_dir)


def _text(path: Path) -> None:
    path.write_text("these are my notes\n" * 100)


def _empty(path: Path) -> None:
    path.touch()


def _other_database(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_text, _empty, _other_database, _folder])
@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(
    state_dir: Path, clock: ManualClock, make: Callable[[Path], None], readonly: bool
) -> None:
    state_dir.mkdir()
    path = state_dir / LEDGER_NAME
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StateError) as caught:
        Ledger.open(state_dir, clock, readonly=readonly)
    assert str(path) in str(caught.value)
    assert not isinstance(caught.value, LedgerVersion)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_ledger_is_refused(state_dir: Path, clock: ManualClock, readonly: bool) -> None:
    with Ledger.open(state_dir, clock) as ledger:
        ledger._db.run("PRAGMA user_version = 999")
    with pytest.raises(LedgerVersion, match="schema 999") as caught:
        Ledger.open(state_dir, clock, readonly=readonly)
    assert caught.value.exit_code == 78


def test_a_damaged_ledger_is_a_state_error(state_dir: Path, clock: ManualClock) -> None:
    with Ledger.open(state_dir, clock) as ledger:
        ledger.note_arrivals([arrival(f"{i}.jpg", i) for i in range(2000)])
    path = state_dir / LEDGER_NAME
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 16384):
            file.seek(page * 16384)
            file.write(b"\xa5" * 9000)
    with pytest.raises(StateError, match=r"damaged|schema") as caught, Ledger.open(state_dir, clock) as ledger:
        ledger.take_pending(10)
    assert str(path) in str(caught.value)


def test_a_readonly_ledger_makes_nothing(state_dir: Path, clock: ManualClock) -> None:
    with pytest.raises(StateError, match="there is no ledger"):
        Ledger.open(state_dir, clock, readonly=True)
    assert not state_dir.exists()


def test_a_readonly_ledger_cannot_write(state_dir: Path, clock: ManualClock) -> None:
    with Ledger.open(state_dir, clock) as ledger, Ledger.open(state_dir, clock, readonly=True) as reader:
        ledger.set_meta("a", "1")
        assert reader.meta("a") == "1"
        with pytest.raises(StateError, match="cannot be written"):
            reader.set_meta("a", "2")
        ledger.set_meta("a", "3")
        assert reader.meta("a") == "3"


def _as_another_user(work: Callable[[], None]) -> int:
    """Run `work` in a child that has no rights on this user's folders; gives its exit status."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    child = os.fork()
    if child == 0:
        status = 9
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("alive", [True, False])
def test_a_reader_needs_no_right_to_write_the_folder(tmp_path_factory: pytest.TempPathFactory, alive: bool) -> None:
    base = tmp_path_factory.mktemp("elsewhere")
    for folder in (base, *base.parents):
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    state_dir = base / "state"
    ledger = Ledger.open(state_dir, SystemClock())
    ledger.set_meta("a", "b")
    if not alive:
        ledger.close()
    state_dir.chmod(0o755)
    for path in state_dir.iterdir():
        path.chmod(0o644)
    before = sorted(os.listdir(state_dir))

    def read() -> None:
        with Ledger.open(state_dir, SystemClock(), readonly=True) as reader:
            assert reader.meta("a") == "b"

    assert _as_another_user(read) == 0
    assert sorted(os.listdir(state_dir)) == before
    ledger.close()


def test_a_state_dir_without_rights_is_a_state_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    def open_it() -> None:
        with pytest.raises(StateError, match="cannot be made"):
            Ledger.open(tmp_path / "state", SystemClock())
        with pytest.raises(StateError, match="cannot be read"):
            Ledger.open(tmp_path, SystemClock(), readonly=True)

    assert _as_another_user(open_it) == 0


def test_a_file_as_state_dir_is_a_state_error(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateError, match="no folder"):
        Ledger.open(tmp_path / "state", clock)


def test_a_full_disk_keeps_nothing_of_the_transaction(ledger: Ledger) -> None:
    add(ledger, ["first.jpg"])
    ledger.checkpoint()
    pages = ledger._db.rows("PRAGMA page_count")[0][0]
    ledger._db.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerFull) as caught:
        ledger.note_arrivals([arrival(f"{i}.jpg", i) for i in range(3000)])
    assert caught.value.retryable
    assert ledger.counts()[FileState.PENDING] == 0
    ledger._db.rows("PRAGMA max_page_count = 1000000")
    ledger.note_arrivals([arrival(f"{i}.jpg", i) for i in range(3000)])
    assert ledger.counts()[FileState.PENDING] == 3000


def test_many_may_open_a_new_ledger_at_once(state_dir: Path) -> None:
    """The file appears whole: nobody finds it half made, and all find the same one."""
    together = threading.Barrier(8)
    failures: list[BaseException] = []

    def open_and_write(number: int) -> None:
        try:
            together.wait()
            with Ledger.open(state_dir, SystemClock()) as ledger:
                ledger.ensure_space(SPACE)
                ledger.set_meta(str(number), "here")
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=open_and_write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Ledger.open(state_dir, SystemClock()) as ledger:
        assert all(ledger.meta(str(n)) == "here" for n in range(8))
        assert ledger.spaces() == [SPACE]
    assert os.listdir(state_dir) == [LEDGER_NAME]
