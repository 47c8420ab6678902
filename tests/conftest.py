"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from deepdupe_daemon.clock import SystemClock

T = TypeVar("T")

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Eventually(Protocol):
    def __call__(self, predicate: Callable[[], T], timeout_s: float = 60.0, *, every_s: float = 0.01) -> T: ...


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder that holds pyproject.toml."""
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The evaluation images: $DEEPDUPE_TEST_DATA, else `../shared/data` from the project's root; skips without them."""
    named = os.environ.get("DEEPDUPE_TEST_DATA")
    folder = Path(named) if named else PROJECT_ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no evaluation images at {folder}: set DEEPDUPE_TEST_DATA to the folder that holds them")
    return folder


@pytest.fixture
def eventually() -> Eventually:
    """Poll `predicate` until it is true and return what it returned; fail when it still is not after `timeout_s`.

    Waiting for a condition of the real world (an inotify event, a child's exit) never needs a fixed sleep. The time
    limit only bounds a failing test: it may be generous.
    """
    clock = SystemClock()
    never = threading.Event()

    def poll(predicate: Callable[[], T], timeout_s: float = 60.0, *, every_s: float = 0.01) -> T:
        give_up_s = clock.monotonic_s() + timeout_s
        while True:
            found = predicate()
            if found:
                return found
            if clock.monotonic_s() >= give_up_s:
                pytest.fail(f"still {found!r} after {timeout_s:g} s")
            clock.wait(never, every_s)

    return poll


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`: the one in memory that every Linux has."""
    shared = "/dev/shm"
    if not os.access(shared, os.W_OK) or os.stat(shared).st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"{shared} is no second file system here")
    folder = Path(tempfile.mkdtemp(prefix="deepdupe-test-", dir=shared))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _own_state_dir(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test may touch the state, cache or journal of the person who runs it."""
    home = tmp_path_factory.mktemp("home", numbered=True)
    for variable in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        folder = home / variable.lower()
        folder.mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(folder))
    for variable in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID"):
        monkeypatch.delenv(variable, raising=False)
