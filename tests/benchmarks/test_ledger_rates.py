"""What the ledger costs, beside the same bytes put into a bare SQLite table by `executemany` in the same run.

`make bench` runs these; each prints its figures and asserts only what is not time.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import LEDGER_NAME, FileRow, Ledger, Noted, SeenRecord
from deepdupe_daemon.model import Arrival, ExifFacts, FileIdentity, FileKey, FileState, ImageFacts, PdqHash, SpaceKey
from tests.benchmarks.processes import now_s

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]

T = TypeVar("T")

ROOT = b"/home/someone/Pictures"
SPACE = SpaceKey("clip-vit-h-14", "final", 1024)
FACTS = ImageFacts(4000, 3000, "JPEG", "RGB", exif=ExifFacts("2024:01:01 10:00:00", "12", "Canon", "R5", tag_count=99))
VECTORS = (np.random.default_rng(1).standard_normal((512, SPACE.dim)) / 32).astype(np.float16)


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def arrivals(count: int, start: int = 0) -> list[Arrival]:
    def arrival(n: int) -> Arrival:
        identity = FileIdentity(dev=64, ino=10**6 + n, size=3 * 10**6 + n, mtime_ns=10**18 + n)
        return Arrival(FileKey(ROOT + b"/2024/some holiday/IMG_%08d.jpg" % n, identity), ROOT, live=False)

    return [arrival(n) for n in range(start, start + count)]


def slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def seconds(work: Callable[[], object]) -> float:
    began_s = now_s()
    work()
    return now_s() - began_s


def seen(row: FileRow) -> SeenRecord:
    digest = hashlib.sha256(row.key.path).digest()
    vectors = {SPACE.name: VECTORS[row.file_id % 512]}
    return SeenRecord(row.file_id, row.key, digest, FACTS, PdqHash(digest, 90), (digest,) * 8, vectors)


def bare(path: Path) -> sqlite3.Connection:
    """A table without any of the ledger's promises but that a commit is on the disk."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA page_size = 16384",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE files (file_id INTEGER PRIMARY KEY, path BLOB UNIQUE, dev, ino, size, mtime_ns, facts)",
        "CREATE TABLE vectors (image_id INTEGER PRIMARY KEY, vector BLOB)",
    ):
        connection.execute(statement)
    return connection


def bare_insert(connection: sqlite3.Connection, sql: str, batches: Iterator[Sequence[tuple[object, ...]]]) -> None:
    for batch in batches:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(sql, batch)
        connection.execute("COMMIT")


def test_arrivals_new_and_known(tmp_path: Path) -> None:
    batch = arrivals(50_000)
    files = [(a.key.path, 64, a.key.identity.ino, a.key.identity.size, a.key.identity.mtime_ns) for a in batch]
    reference = bare(tmp_path / "bare.sqlite")
    sql = "INSERT INTO files (path, dev, ino, size, mtime_ns) VALUES (?, ?, ?, ?, ?)"
    bare_s = seconds(lambda: bare_insert(reference, sql, slices(files, 1000)))
    reference.close()
    with Ledger.open(tmp_path / "state", SystemClock()) as ledger:
        new_s = seconds(lambda: [ledger.note_arrivals(some) for some in slices(batch, 1000)])
        known: list[Noted] = []
        known_s = seconds(lambda: known.extend(ledger.note_arrivals(batch[:10_000])))
        assert set(known) == {Noted.KNOWN}
        paths = [a.key.path for a in batch]
        one_by_one_s = seconds(lambda: [ledger.note_gone(path) for path in paths[:500]])
        many_s = seconds(lambda: [ledger.note_gone_many(some) for some in slices(paths[500:20_500], 256)])
        gone_s = seconds(lambda: ledger.note_gone_tree(ROOT))
        assert ledger.counts()[FileState.GONE] == len(batch)
    say(
        f"\nnote_arrivals, batches of 1,000: new {len(batch) / new_s:,.0f}/s (bare insert {len(batch) / bare_s:,.0f}/s,"
        f" ratio {bare_s / new_s:.2f}); 10,000 known in {1000 * known_s:.0f} ms = {10_000 / known_s:,.0f}/s;"
        f" gone: one by one {1000 * one_by_one_s / 500:.2f} ms each, 256 together {1000 * many_s / 20_000:.3f} ms each,"
        f" note_gone_tree of the other {len(batch) - 20_500:,}: {1000 * gone_s:.0f} ms"
    )


@pytest.mark.parametrize(("batch_rows", "count"), [(1, 400), (32, 6400), (400, 20_000)])
def test_results_at_three_batch_sizes(tmp_path: Path, batch_rows: int, count: int) -> None:
    with Ledger.open(tmp_path / "state", SystemClock()) as ledger:
        ledger.ensure_space(SPACE)
        ledger.note_arrivals(arrivals(count))
        records = [seen(row) for row in ledger.take_pending(count)]
        blobs = [
            (n, r.vectors[SPACE.name].tobytes(), r.digest + b"".join(r.pdq_variants) + r.facts.to_json().encode())
            for n, r in enumerate(records)
        ]
        reference = bare(tmp_path / "bare.sqlite")
        reference.execute("CREATE TABLE images (image_id INTEGER PRIMARY KEY, vector BLOB, rest BLOB)")
        sql = "INSERT INTO images VALUES (?, ?, ?)"
        bare_s = seconds(lambda: bare_insert(reference, sql, slices(blobs, batch_rows)))
        reference.close()
        seen_s = seconds(lambda: [ledger.record_seen(some) for some in slices(records, batch_rows)])
        assert ledger.counts()[FileState.SEEN] == count
        ids = [row.file_id for row in ledger.take_seen(count)]
        judged_s = seconds(lambda: [ledger.record_judged(some, []) for some in slices(ids, batch_rows)])
        ledger.checkpoint()
        size = os.path.getsize(tmp_path / "state" / LEDGER_NAME)
    say(
        f"\nrecord_seen, {SPACE.dim} dimensions, batches of {batch_rows}: {count / seen_s:,.0f}/s (bare insert"
        f" {count / bare_s:,.0f}/s, ratio {bare_s / seen_s:.2f}); record_judged {count / judged_s:,.0f}/s;"
        f" {size / count:,.0f} bytes a file, of which {2 * SPACE.dim:,} are its vector"
    )


def test_vectors_stream(tmp_path: Path) -> None:
    count = 60_000
    reference = bare(tmp_path / "bare.sqlite")
    rows = ((n, VECTORS[n % 512].tobytes()) for n in range(count))
    bare_insert(reference, "INSERT INTO vectors VALUES (?, ?)", iter([list(rows)]))
    with Ledger.open(tmp_path / "state", SystemClock()) as ledger:
        ledger.ensure_space(SPACE)
        for some in slices(arrivals(count), 2000):
            ledger.note_arrivals(some)
        while pending := ledger.take_pending(2000):
            ledger.record_seen([seen(row) for row in pending])
        best_s = min(seconds(lambda: [len(ids) for ids, _ in ledger.vectors(SPACE.name)]) for _ in range(3))
        bare_s = min(seconds(lambda: reference.execute("SELECT * FROM vectors").fetchall()) for _ in range(3))
        reference.close()
        found = sum(len(ids) for ids, _ in ledger.vectors(SPACE.name))
        assert found == count
        ids, _, _ = ledger.unstored(SPACE.name, 200)
        store_s = seconds(lambda: ledger.mark_stored(SPACE.name, ids))
    say(
        f"\nvectors, {SPACE.dim} dimensions: {count / best_s:,.0f} rows/s as arrays (bare fetchall"
        f" {count / bare_s:,.0f} rows/s, ratio {bare_s / best_s:.2f}); mark_stored of 200: {1000 * store_s:.1f} ms"
    )


def test_the_queue_at_a_million(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "state", SystemClock()) as ledger:
        for start in range(0, 1_000_000, 10_000):
            ledger.note_arrivals(arrivals(10_000, start))
        in_flight = {row.file_id for row in ledger.take_pending(1024)}
        waits_ms = sorted(1000 * seconds(lambda: ledger.take_pending(64, after=in_flight)) for _ in range(200))
        counts_ms = sorted(1000 * seconds(ledger.pending_counts) for _ in range(200))
        rows = ledger.take_pending(64, after=in_flight)
        assert [row.file_id for row in rows] == list(range(1025, 1089))
        known_s = seconds(lambda: sum(1 for _ in ledger.known_paths(ROOT)))
        ledger.checkpoint()
        size = os.path.getsize(tmp_path / "state" / LEDGER_NAME)
    say(
        f"\n1,000,000 pending: take_pending(64) beside 1,024 in flight p50 {waits_ms[100]:.2f} ms,"
        f" p99 {waits_ms[198]:.2f} ms; pending_counts p50 {counts_ms[100]:.3f} ms;"
        f" known_paths {1_000_000 / known_s:,.0f}/s; {size / 1_000_000:,.0f} bytes a pending file"
    )
