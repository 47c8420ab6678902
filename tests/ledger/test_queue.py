"""The durable queue: order, what is in flight, retries, counters."""

from __future__ import annotations

import re

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import FileRow, Ledger
from deepdupe_daemon.model import FileState
from tests.ledger.build import SPACE, add, arrival, seen


def names(rows: list[FileRow]) -> str:
    return "".join(row.key.path[-1:].decode() for row in rows)


def test_live_files_come_first_then_the_order_of_discovery(ledger: Ledger) -> None:
    for name, live in (("a", False), ("b", True), ("c", False), ("d", True)):
        ledger.note_arrivals([arrival(name, ord(name), live=live)])
    assert names(ledger.take_pending(9)) == "bdac"
    assert names(ledger.take_pending(3)) == "bda"
    assert ledger.pending_counts() == (2, 2)


def test_taking_changes_nothing_and_leaves_out_what_is_in_flight(ledger: Ledger) -> None:
    ledger.note_arrivals([arrival(name, ord(name)) for name in "abcdef"])
    first = ledger.take_pending(2)
    in_flight = {row.file_id for row in first}
    assert names(first) == "ab"
    assert names(ledger.take_pending(2, after=in_flight)) == "cd"
    assert names(ledger.take_pending(2, after=[*in_flight, 999, 999])) == "cd"
    assert names(ledger.take_pending(9)) == "abcdef"
    assert ledger.take_pending(5, after={row.file_id for row in ledger.take_pending(9)}) == []
    assert ledger.take_pending(0) == []


def test_a_live_arrival_overtakes_a_window_of_backfill_in_flight(ledger: Ledger) -> None:
    ledger.note_arrivals([arrival(f"{i}", i + 1) for i in range(500)])
    in_flight = {row.file_id for row in ledger.take_pending(400)}
    ledger.note_arrivals([arrival("z", 9999, live=True)])
    assert names(ledger.take_pending(1, after=in_flight)) == "z"


def test_a_failed_file_waits_until_its_time_has_come(ledger: Ledger, clock: ManualClock) -> None:
    ledger.note_arrivals([arrival("a", 1), arrival("b", 2)])
    a, b = ledger.take_pending(2)
    ledger.record_failed(a.file_id, a.key, "timeout", "60 s", clock.now_ns() + 10_000_000_000)
    ledger.record_failed(b.file_id, b.key, "truncated", "ends early", None)
    assert ledger.take_pending(9) == []
    clock.advance(9)
    assert ledger.take_pending(9) == []
    clock.advance(1)
    assert names(ledger.take_pending(9)) == "a"
    assert ledger.pending_counts() == (0, 1)
    assert names(ledger.failed(9)) == "b"


def test_attempts_are_counted_and_forgotten_on_success(ledger: Ledger, clock: ManualClock) -> None:
    ledger.ensure_space(SPACE)
    ledger.note_arrivals([arrival("a", 1)])
    for attempt in range(3):
        [row] = ledger.take_pending(1)
        assert row.attempts == attempt
        ledger.record_failed(row.file_id, row.key, "crashed", "signal 11", clock.now_ns())
    [row] = ledger.take_pending(1)
    assert (row.attempts, row.error_kind, row.error) == (3, "crashed", "signal 11")
    ledger.record_seen([seen(row, "a")])
    [row] = ledger.take_seen(1)
    assert (row.attempts, row.error_kind, row.error, row.retry_at_ns) == (0, None, None, None)


def test_what_was_seen_but_not_judged_is_found_again(ledger: Ledger) -> None:
    add(ledger, ["a", "b", "c"], index=False)
    assert names(ledger.take_seen(9)) == "abc"
    first = ledger.take_seen(1)
    assert names(ledger.take_seen(1, after=[first[0].file_id])) == "b"
    ledger.record_judged([first[0].file_id], [])
    assert names(ledger.take_seen(9)) == "bc"


def test_counts_name_every_state(ledger: Ledger) -> None:
    assert ledger.counts() == dict.fromkeys(FileState, 0)
    add(ledger, ["a", "b"])
    add(ledger, ["c"], index=False)
    ledger.note_arrivals([arrival("d", 4)])
    ledger.note_gone(b"/photos/a")
    assert ledger.counts() == {
        **dict.fromkeys(FileState, 0),
        FileState.PENDING: 1,
        FileState.SEEN: 1,
        FileState.INDEXED: 1,
        FileState.GONE: 1,
    }


def test_a_million_waiting_files_are_never_scanned(ledger: Ledger) -> None:
    """The plans of the hot queries: each walks an index, none sorts."""

    def plan(sql: str) -> str:
        return " ".join(row[3] for row in ledger._db.rows(f"EXPLAIN QUERY PLAN {sql}", ("1",) * sql.count("?")))

    statements: list[str] = []
    ledger.note_arrivals([arrival("a", 1)])
    ledger._db.raw.set_trace_callback(statements.append)
    ledger.take_pending(1)
    ledger.take_seen(1)
    ledger.failed(1)
    ledger.unalerted(1)
    ledger.note_arrivals([arrival("a", 1), arrival("b", 2)])
    ledger.note_gone_tree(b"/photos/x")
    list(ledger.known_paths(b"/photos"))
    ledger.living_files(1)
    ledger.living_images()
    ledger.counts()
    ledger._db.raw.set_trace_callback(None)
    partial = {"files_pending", "files_seen", "files_failed", "files_image"}
    queries = [sql for sql in statements if sql.startswith(("SELECT", "UPDATE"))]
    assert len(queries) >= 12
    for sql in queries:
        found = plan(sql)
        assert set(re.findall(r"SCAN (?:files|f)\b(?: USING(?: COVERING)? INDEX (\w+))?", found)) <= partial, (
            sql,
            found,
        )
        assert "TEMP B-TREE" not in found or "ORDER BY state = 'gone'" in sql or "tally" in sql, (sql, found)


def test_the_next_try_is_the_earliest_that_lies_ahead(ledger: Ledger, clock: ManualClock) -> None:
    assert ledger.next_retry_at_ns() is None
    ledger.note_arrivals([arrival(name, ord(name)) for name in "abc"])
    for row, wait_s in zip(ledger.take_pending(3), (30, 5, None), strict=True):
        at_ns = None if wait_s is None else clock.now_ns() + wait_s * 10**9
        ledger.record_failed(row.file_id, row.key, "truncated", "ends early", at_ns)
    assert ledger.next_retry_at_ns() == clock.now_ns() + 5 * 10**9
    clock.advance(6)
    assert names(ledger.take_pending(9)) == "b"
    assert ledger.next_retry_at_ns() == clock.now_ns() + 24 * 10**9
