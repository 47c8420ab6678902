"""A fresh ledger on a real file, and a clock that moves only when told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import Ledger


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def ledger(state_dir: Path, clock: ManualClock) -> Iterator[Ledger]:
    """Made-up paths are what most tests use, so that no file is where a row says: every look finds nothing."""

    def nothing_there(path: bytes) -> object:
        raise FileNotFoundError(path)

    with Ledger.open(state_dir, clock, lstat=nothing_there) as opened:  # type: ignore[arg-type] # never returns
        yield opened
        assert opened.damage() == []
