"""A state dir with a ledger, and writers that are always stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.config import ChromaConfig
from deepdupe_daemon.index import CollectionWriter, StoreNotice
from deepdupe_daemon.ledger import Ledger
from tests.index.filling import CLIP, open_ledger, path_of, see

SMALL = ChromaConfig(batch_rows=50, sync_threshold=100, free_space_floor_bytes=1)


class Bench:
    """A state dir, its ledger, and the writers that a test starts on it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.ledger: Ledger = open_ledger(state_dir)
        self.notices: list[StoreNotice] = []
        self._writers: list[CollectionWriter] = []

    def writer(self, config: ChromaConfig = SMALL, *, start: bool = True, **options) -> CollectionWriter:
        writer = CollectionWriter(
            self.state_dir, config, lambda: open_ledger(self.state_dir), SystemClock(), self.notices.append, **options
        )
        self._writers.append(writer)
        if start:
            writer.start()
        return writer

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    def close(self) -> None:
        for writer in self._writers:
            writer.stop(timeout_s=60)
        self.ledger.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state")
    yield bench
    bench.close()


@pytest.fixture(autouse=True)
def _quick_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows need not gather for a second in a test that waits for them."""
    monkeypatch.setattr("deepdupe_daemon.index.writer._FLUSH_S", 0.05)


@pytest.fixture
def stored(eventually) -> Callable[..., None]:
    """Wait until the collections have everything, as the ledger and the writer say it."""

    def wait(bench: Bench, writer: CollectionWriter, timeout_s: float = 60.0) -> None:
        eventually(
            lambda: not sum(bench.ledger.unstored_counts().values()) and writer.status().lag_rows == 0, timeout_s
        )

    return wait


@pytest.fixture(scope="session")
def filled_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dir with 700 rows stored and 40 of them taken out again, closed. To be copied, not changed."""
    bench = Bench(tmp_path_factory.mktemp("filled") / "state")
    see(bench.ledger, range(700), CLIP)
    writer = bench.writer()
    clock, never = SystemClock(), threading.Event()
    try:
        for gone in (range(0), range(40)):
            for number in gone:
                bench.ledger.note_gone(path_of(number))
            writer.poke()
            while writer.lag_rows() or len(bench.ledger.unwanted(CLIP.name, 1)[0]):
                clock.wait(never, 0.05)
        assert bench.kinds() == []
    finally:
        bench.close()
    return bench.state_dir
