"""Several ledgers open at once: writers wait for each other, readers see what was committed, nobody hears 'locked'."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.errors import StateError
from deepdupe_daemon.ledger import LEDGER_NAME, Ledger
from deepdupe_daemon.model import FileState, SpaceKey
from tests.ledger.build import ROOT, SPACE, arrival, content_vectors, ino_of, seen, vector_of

FILES = 200


def at_once(*works: Callable[[], None]) -> None:
    """Run each in a thread of its own; raises what the first of them raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_intake_pipeline_and_collection_work_side_by_side(state_dir: Path) -> None:
    noted = threading.Event()
    all_seen = threading.Event()
    recalled: dict[int, list[float]] = {}

    def opened() -> Ledger:
        return Ledger.open(state_dir, SystemClock())

    def intake() -> None:
        with opened() as ledger:
            for number in range(FILES):
                ledger.note_arrivals([arrival(f"{number}", ino_of(f"{number}"), live=number % 2 == 0)])
                noted.set()

    def pipeline() -> None:
        with opened() as ledger:
            ledger.ensure_space(SPACE)
            noted.wait()
            while ledger.counts()[FileState.INDEXED] < FILES:
                rows = ledger.take_pending(7)
                ledger.record_seen([seen(row, row.key.path.decode()) for row in rows])
                ledger.record_judged([row.file_id for row in rows], [])
            all_seen.set()

    def collection() -> None:
        with opened() as ledger:
            ledger.ensure_space(SPACE)
            stored = 0
            while stored < FILES:
                ids, digests, rows = ledger.unstored(SPACE.name, 11)
                assert len(ids) == len(digests) == len(rows)
                ledger.mark_stored(SPACE.name, ids)
                stored += len(ids)

    def reader() -> None:
        noted.wait()
        with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
            before = 0
            while not all_seen.is_set():
                known = sum(ledger.counts().values())
                assert known >= before
                before = known
                for row in ledger.take_seen(5):
                    image = ledger.image(row.image_id or 0)
                    assert image is not None, "what is seen has its image in the same commit"
            recalled.update(content_vectors(ledger, SPACE))

    at_once(intake, pipeline, collection, reader)
    with opened() as ledger:
        assert ledger.damage() == []
        assert ledger.unstored_counts() == {SPACE.name: 0}
        assert len(recalled) == FILES
        for number in range(FILES):
            row = ledger.file_by_path(ROOT + f"/{number}".encode())
            assert row is not None
            assert recalled[row.image_id or 0] == vector_of(f"/photos/{number}").tolist()


def test_writers_wait_for_a_long_transaction(state_dir: Path) -> None:
    holding = threading.Event()
    order: list[str] = []

    def slow() -> None:
        with Ledger.open(state_dir, SystemClock()) as ledger, ledger._db.writing():
            ledger._db.run("INSERT INTO meta VALUES ('slow', 'x')")
            holding.set()
            waiting.wait(0.3)  # never set: the other writer is meant to find the lock held
            order.append("slow")

    def quick() -> None:
        with Ledger.open(state_dir, SystemClock()) as ledger:
            holding.wait()
            assert ledger.meta("slow") is None, "readers see only what was committed"
            ledger.set_meta("quick", "y")
            order.append("quick")
            assert ledger.meta("slow") == "x"

    waiting = threading.Event()
    Ledger.open(state_dir, SystemClock()).close()
    at_once(slow, quick)
    assert order == ["slow", "quick"]


def test_a_ledger_belongs_to_the_thread_that_opened_it(state_dir: Path) -> None:
    with Ledger.open(state_dir, SystemClock()) as ledger, pytest.raises(StateError, match="thread"):
        at_once(lambda: ledger.set_meta("a", "b"))


@pytest.mark.parametrize("lingering", [False, True])
def test_the_log_stays_bounded_beside_readers_that_never_rest(state_dir: Path, lingering: bool) -> None:
    """Readers page, so that no snapshot outlives a page and the write-ahead log can be copied back. A snapshot that
    does linger is the control: it shows that there was more than enough to write."""
    bound_bytes = 20 * 2**20  # it is copied back from 16 MiB on
    big = SpaceKey("big", "final", 2048)
    done = threading.Event()
    sizes: list[int] = []

    def write() -> None:
        with Ledger.open(state_dir, SystemClock()) as ledger:
            try:
                for start in range(0, 1500, 10):
                    names = [f"{number}" for number in range(start, start + 10)]
                    ledger.note_arrivals([arrival(name, ino_of(name)) for name in names])
                    ledger.record_seen([seen(row, row.key.path.decode(), big) for row in ledger.take_pending(10)])
                    sizes.append(os.path.getsize(state_dir / (LEDGER_NAME + "-wal")))
            finally:
                done.set()

    def read() -> None:
        with Ledger.open(state_dir, SystemClock()) as ledger:
            if lingering:
                ledger._db.run("BEGIN")
                ledger.meta("a")
                done.wait()
                ledger._db.run("COMMIT")
            while not done.is_set():
                for _ids, rows in ledger.vectors(big.name, chunk_rows=50):
                    assert np.isfinite(rows).all()

    with Ledger.open(state_dir, SystemClock()) as ledger:
        ledger.ensure_space(big)
    at_once(write, read)
    assert (max(sizes) > bound_bytes) is lingering
