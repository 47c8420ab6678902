"""No statement on the way of a file reads a whole table: what costs a scan with ten files costs an hour with a million.

Every statement that the ledger executes is caught, and SQLite is asked how it would look for the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import VerdictClass
from tests.ledger.build import OTHER, ROOT, SPACE, add, arrival, digest_of, ino_of, seen, verdict
from tests.ledger.test_actions import SIDECAR, intent, judged

#: tables that grow with the number of pictures
_LARGE = r"(files|images|verdicts|marks|actions|action_files|not_duplicates|orders|vectors_[0-9]+|[a-z])"
_SCAN = re.compile(rf"SCAN {_LARGE}( USING (?:COVERING )?INDEX (?P<index>[a-z_]+))?$")
#: partial indexes over what waits: as long as the work that they stand for
_WAITING = {
    "files_pending",
    "files_seen",
    "files_lacking",
    "files_retry",
    "files_failed",
    "verdicts_unalerted",
    "actions_open",
    "actions_untold",
    "marks_unstored",
}


def scans(ledger: Ledger, act: Callable[[], object]) -> list[str]:
    """The statements of `act` that read a whole table, with SQLite's plan."""
    statements: list[str] = []
    raw = ledger._db.raw
    raw.set_trace_callback(statements.append)
    act()
    raw.set_trace_callback(None)
    found = []
    for statement in dict.fromkeys(statements):
        if not statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            continue
        for *_, detail in raw.execute(f"EXPLAIN QUERY PLAN {statement}"):
            scan = _SCAN.match(detail)
            if statement.startswith("INSERT INTO files") and detail == "SCAN verdicts":
                continue  # for a foreign key, and passed over while no row refers to a missing file
            if scan is not None and scan["index"] not in _WAITING:
                found.append(f"{detail}: {statement[:200]}")
    return found


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """Enough of everything for each statement to be executed."""
    add(ledger, ["a", "b", "c", "d"])
    ledger.ensure_space(OTHER)
    ledger.note_arrivals([arrival(name, ino_of(name)) for name in "efgh"])
    return ledger


def test_a_file_that_arrives_and_goes(full: Ledger) -> None:
    moved = arrival("moved", ino_of("a"))
    assert scans(full, lambda: full.note_arrivals([arrival("i", 77), arrival("a", 78), moved])) == []
    assert scans(full, lambda: full.note_gone_many([ROOT + b"/b", ROOT + b"/none"])) == []
    assert scans(full, lambda: full.note_gone_tree(ROOT + b"/d")) == []
    assert scans(full, lambda: list(full.known_paths(ROOT))) == []
    assert scans(full, lambda: full.file_by_path(ROOT + b"/c")) == []


def test_a_file_that_waits_and_is_seen(full: Ledger) -> None:
    rows = full.take_pending(4)
    assert len(rows) == 4
    assert scans(full, lambda: full.take_pending(4, after=[rows[0].file_id])) == []
    assert scans(full, full.next_retry_at_ns) == []
    assert scans(full, lambda: full.record_seen([seen(rows[0], "new"), seen(rows[1], "a", SPACE, OTHER)])) == []
    assert scans(full, lambda: full.has_vectors(digest_of("a"), [SPACE.name, OTHER.name])) == []
    assert scans(full, lambda: full.attach_known(rows[2].file_id, rows[2].key, digest_of("a"))) == []
    assert scans(full, lambda: full.record_failed(rows[3].file_id, rows[3].key, "truncated", "early", 5)) == []
    assert scans(full, lambda: full.take_pending(4)) == []
    assert scans(full, lambda: full.record_ignored(rows[3].file_id, rows[3].key, "text")) == []


def test_a_file_that_is_judged_and_told_of(full: Ledger) -> None:
    a, b = (full.file_by_path(ROOT + b"/" + name) for name in (b"a", b"b"))
    assert a is not None
    assert b is not None
    made = verdict(b, a, VerdictClass.RE_ENCODED)
    assert scans(full, lambda: full.take_seen(4)) == []
    assert scans(full, lambda: full.record_judged([a.file_id, b.file_id], [made])) == []
    assert scans(full, lambda: full.living_files(a.image_id or 0)) == []
    assert scans(full, lambda: full.image_vectors(a.image_id or 0, [SPACE.name])) == []
    assert scans(full, lambda: full.verdicts_for(b.key.path)) == []
    rows = full.unalerted(4)
    assert len(rows) == 1
    assert scans(full, lambda: full.unalerted(4)) == []
    assert scans(full, lambda: full.mark_alerted([rows[0].verdict_id])) == []
    assert scans(full, lambda: full.unstored(SPACE.name, 4)) == []
    assert scans(full, lambda: full.mark_stored(SPACE.name, [a.image_id or 0])) == []
    assert scans(full, lambda: [full.counts(), full.pending_counts()]) == []


def test_an_action_that_goes_and_comes_back(full: Ledger) -> None:
    a, b = add(full, ["keeper", "copy"])
    row = judged(full, b, a)
    planned = intent(row, b, a, also=[SIDECAR])
    assert scans(full, lambda: full.record_intent(planned)) == []
    assert scans(full, lambda: full.mark_moved(1)) == []
    assert scans(full, lambda: full.untold_actions(5)) == []
    assert scans(full, lambda: full.mark_told([1])) == []
    assert scans(full, lambda: full.moved_since(0, ROOT)) == []
    assert scans(full, lambda: full.action_on(row.verdict_id)) == []
    assert scans(full, lambda: list(full.actions(path=b.key.path))) == []
    assert scans(full, lambda: full.begin_restore(1, [b.key.path, SIDECAR.path])) == []
    assert scans(full, lambda: full.keep_quarantined(1)) == []
    assert scans(full, lambda: full.begin_restore(1, [b.key.path, SIDECAR.path])) == []
    assert scans(full, full.open_actions) == []
    assert scans(full, lambda: full.mark_restored(1, {b.key.path: 5})) == []
    assert scans(full, lambda: full.was_restored(b.key.path, 5, digest_of("copy"))) == []
