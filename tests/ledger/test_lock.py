"""One state dir holds one daemon."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deepdupe_daemon.errors import AlreadyRunning, StateError
from deepdupe_daemon.ledger import lock_state_dir
from tests.conftest import Eventually

HOLD = (
    "import sys, pathlib\nfrom deepdupe_daemon.ledger import lock_state_dir\n"
    "held = lock_state_dir(pathlib.Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
)


def holder(state_dir: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def can_lock(state_dir: Path) -> bool:
    try:
        lock_state_dir(state_dir).release()
    except AlreadyRunning:
        return False
    return True


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(state_dir: Path) -> None:
    with holder(state_dir) as child:
        with pytest.raises(AlreadyRunning) as caught:
            lock_state_dir(state_dir)
        assert caught.value.pid == child.pid
        assert str(child.pid) in str(caught.value)
        assert caught.value.exit_code == 75
        child.communicate()
    lock_state_dir(state_dir).release()


def test_a_killed_daemon_is_no_obstacle(state_dir: Path) -> None:
    with holder(state_dir) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert (state_dir / "lock").read_text() == f"{child.pid}\n"
    with lock_state_dir(state_dir) as lock:
        assert Path(lock.path).read_text() == f"{os.getpid()}\n"


def test_the_same_process_is_refused_too(state_dir: Path) -> None:
    with lock_state_dir(state_dir), pytest.raises(AlreadyRunning) as caught:
        lock_state_dir(state_dir)
    assert caught.value.pid == os.getpid()


def test_a_released_lock_names_nobody(state_dir: Path) -> None:
    lock = lock_state_dir(state_dir)
    lock.release()
    lock.release()
    assert (state_dir / "lock").read_text() == ""
    lock_state_dir(state_dir).release()


def test_a_holder_that_has_not_written_its_pid_yet_is_refused_without_one(state_dir: Path) -> None:
    with lock_state_dir(state_dir) as lock:
        os.truncate(lock.path, 0)
        with pytest.raises(AlreadyRunning) as caught:
            lock_state_dir(state_dir)
        assert caught.value.pid is None


def test_children_do_not_inherit_the_lock(state_dir: Path, eventually: Eventually) -> None:
    """A worker that outlives its daemon must not keep the next one away."""
    lock = lock_state_dir(state_dir)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
    ) as child:
        assert lock._fd is not None
        os.close(lock._fd)  # as the kernel does for a daemon that was killed
        lock._fd = None
        eventually(lambda: can_lock(state_dir))  # exec closes the child's copy a moment after it began
        assert child.poll() is None
        child.communicate()


def test_only_its_owner_may_read_it(state_dir: Path) -> None:
    before = os.umask(0)
    try:
        with lock_state_dir(state_dir) as lock:
            assert stat.S_IMODE(os.stat(lock.path).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(state_dir).st_mode) == 0o700
    finally:
        os.umask(before)


def test_a_lock_that_cannot_be_opened_is_a_state_error(state_dir: Path) -> None:
    (state_dir / "lock").mkdir(parents=True)
    with pytest.raises(StateError, match="cannot be opened"):
        lock_state_dir(state_dir)


def test_a_link_in_its_place_is_not_followed(state_dir: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    state_dir.mkdir()
    (state_dir / "lock").symlink_to(mine)
    with pytest.raises(StateError):
        lock_state_dir(state_dir)
    assert mine.read_text() == "precious"
