"""A real root, a real ledger, a real intake: only their place is temporary."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import IntakeConfig, RootConfig
from deepdupe_daemon.intake import Intake, IntakeStatus, Notice
from deepdupe_daemon.ledger import FileRow, Ledger
from deepdupe_daemon.model import FileState
from tests.conftest import Eventually

#: short, so that tests are quick; the ratio is that of the defaults
SETTLE_S, CLOSE_SETTLE_S, CHECK_S = 0.25, 0.05, 0.1


class Ground:
    """One state dir, any number of roots, and the intakes that were started over them."""

    def __init__(self, tmp_path: Path, eventually: Callable[..., Any]) -> None:
        self.root = tmp_path / "root"
        self.root.mkdir()
        self.elsewhere = tmp_path / "elsewhere"
        self.elsewhere.mkdir()
        self.state = tmp_path / "state"
        self.clock = SystemClock()
        self.notices: list[Notice] = []
        self.pending = threading.Event()
        self.never = threading.Event()  # to wait a little for nothing
        self.intake: Intake | None = None
        self._eventually = eventually
        self._reader: Ledger | None = None

    def start(self, *roots: Path, walked: bool = True, watch: bool = True, **settings: Any) -> Intake:
        """Start intake over `roots` (by default `root`) and wait until it has walked them."""
        chosen = {"settle_s": SETTLE_S, "close_settle_s": CLOSE_SETTLE_S, **settings}
        extra = {key: chosen.pop(key) for key in ("canary_dir", "poll_floor_s") if key in chosen}
        extra["check_s"] = CHECK_S
        root_settings = {key: chosen.pop(key) for key in ("root_exclude",) if key in chosen}
        polled = chosen.pop("polled", None)
        configs = [
            RootConfig(
                path=root,
                exclude=root_settings.get("root_exclude", ()),
                strategy="poll" if root == polled else "auto",
            )
            for root in roots or (self.root,)
        ]
        self.intake = Intake(
            configs,
            IntakeConfig(**chosen),
            self.open_ledger,
            self.clock,
            self.pending.set,
            self.notices.append,
            watch=watch,
            **extra,
        )
        self.intake.start()
        if walked:
            self.until(lambda: self.status().first_walk_done and self.status().armed and not self.status().walking)
        return self.intake

    def stop(self) -> None:
        if self.intake is not None:
            assert self.intake.stop(60), "intake did not stop"
            self.intake = None

    def close(self) -> None:
        self.stop()
        if self._reader is not None:
            self._reader.close()

    def open_ledger(self) -> Ledger:
        return Ledger.open(self.state, self.clock)

    @property
    def ledger(self) -> Ledger:
        """A connection of the test's own."""
        if self._reader is None:
            self._reader = self.open_ledger()
        return self._reader

    def status(self) -> IntakeStatus:
        assert self.intake is not None
        return self.intake.status()

    def until(self, predicate: Callable[[], object], timeout_s: float = 120.0) -> None:
        self._eventually(lambda: bool(predicate()), timeout_s)

    def idle(self) -> None:
        """Wait until nothing settles, walks or waits to depart."""
        self.until(lambda: not self.status().settling and not self.status().walking)

    def known(self, root: Path | None = None) -> set[str]:
        """The paths that the ledger knows below `root`, relative to it."""
        top = os.fsencode(root or self.root)
        return {os.fsdecode(path[len(top) + 1 :]) for path, _, _ in self.ledger.known_paths(top)}

    def row(self, name: str | bytes, root: Path | None = None) -> FileRow | None:
        return self.ledger.file_by_path(os.fsencode(root or self.root) + b"/" + os.fsencode(name))

    def until_known(self, *names: str) -> None:
        """Wait until exactly these files are known."""
        wanted = set(names)
        self.until(lambda: self.known() == wanted)

    def kinds(self) -> list[str]:
        return [str(notice.kind) for notice in self.notices]

    def index_all(self) -> None:
        """Play the decoder: every file that waits was looked at, and its bytes are no image."""
        while rows := self.ledger.take_pending(1000, after=()):
            for row in rows:
                self.ledger.record_ignored(row.file_id, row.key, "not an image")

    def state_of(self, name: str) -> FileState | None:
        row = self.row(name)
        return None if row is None else row.state


@pytest.fixture
def public_dir() -> Iterator[Path]:
    """A directory that everybody may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder).resolve()
        path.chmod(0o777)
        yield path


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Give up root for a test about permissions, which root does not feel. For any other user nothing changes."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def ground(tmp_path: Path, eventually: Eventually) -> Iterator[Ground]:
    opened = Ground(tmp_path, eventually)
    yield opened
    opened.close()
