"""Verdicts: one current one per duplicate, history behind it, and no ring of keepers."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import FileRow, Ledger, Noted, VerdictRow
from deepdupe_daemon.model import Arrival, FileKey, FileState, Verdict, VerdictClass
from tests.ledger.build import ROOT, add, arrival, ino_of, seen, verdict

RE_ENCODED, RELATED = VerdictClass.RE_ENCODED, VerdictClass.RELATED


def record(ledger: Ledger, *verdicts: Verdict, files: tuple[FileRow, ...] = ()) -> tuple[list[VerdictRow], list[str]]:
    refused: list[str] = []
    rows = ledger.record_judged([f.file_id for f in files], verdicts, on_refused=lambda _, why: refused.append(why))
    return rows, refused


def pairs(ledger: Ledger, **options: object) -> list[tuple[str, str]]:
    rows = ledger.duplicates(**options)  # type: ignore[arg-type] # passed on as given
    return [(r.verdict.duplicate.path[-1:].decode(), r.verdict.keeper.path[-1:].decode()) for r in rows]


def test_a_verdict_comes_back_as_it_was_given(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"], index=False)
    given = verdict(b, a)
    [row], refused = record(ledger, given, files=(a, b))
    assert refused == []
    assert row.verdict == given
    assert (row.duplicate_file_id, row.keeper_file_id, row.first, row.current, row.living) == (2, 1, True, True, True)
    assert (row.duplicate_now, row.keeper_now, row.label) == (b.key.path, a.key.path, "v1")
    assert (row.alerted_at_ns, row.superseded_by, row.closed_at_ns, row.closed_reason) == (None, None, None, None)
    assert ledger.verdict(1) == row
    assert ledger.verdict(2) is None
    assert ledger.counts()[FileState.INDEXED] == 2
    assert list(ledger.duplicates()) == ledger.verdicts_for(b.key.path) == ledger.copies_of(a.key.path) == [row]
    assert ledger.verdicts_for(a.key.path) == []


def test_the_same_again_is_nothing_new(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    assert len(record(ledger, verdict(b, a), files=(b,))[0]) == 1
    assert record(ledger, verdict(b, a, at_ns=99), files=(b,)) == ([], [])
    assert record(ledger, verdict(b, a), verdict(b, a), files=(a, b)) == ([], [])
    assert len(ledger.verdicts_for(b.key.path)) == 1


@pytest.mark.parametrize("change", ["keeper", "class"])
def test_another_keeper_or_class_supersedes(ledger: Ledger, change: str) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    [old], _ = record(ledger, verdict(c, a))
    [new], _ = record(ledger, verdict(c, b) if change == "keeper" else verdict(c, a, RELATED))
    assert not new.first
    past, current = ledger.verdicts_for(c.key.path)
    assert (past.verdict_id, past.superseded_by, past.closed_reason) == (old.verdict_id, new.verdict_id, "superseded")
    assert current == new
    assert list(ledger.duplicates()) == [new]
    assert ledger.unalerted(9) == [new]


def test_two_verdicts_on_one_file_in_one_batch_leave_the_last(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    rows, _ = record(ledger, verdict(c, a), verdict(c, b))
    assert [(r.verdict.keeper.path, r.first) for r in rows] == [(b.key.path, False)]
    assert pairs(ledger) == [("c", "b")]


def test_a_ring_of_keepers_cannot_be(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    record(ledger, verdict(b, a), verdict(c, b))
    for ring in (verdict(a, b), verdict(a, c), verdict(a, a)):
        assert record(ledger, ring, files=(a,)) == ([], ["cycle"])
    assert pairs(ledger) == [("b", "a"), ("c", "b")]
    assert ledger.verdicts_for(a.key.path) == []
    assert ledger.counts()[FileState.INDEXED] == 3


def test_a_ring_within_one_batch_cannot_be(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    rows, refused = record(ledger, verdict(a, b), verdict(b, a))
    assert (len(rows), refused) == (1, ["cycle"])
    assert pairs(ledger) == [("a", "b")]


def test_roles_may_change_when_both_are_judged_again(ledger: Ledger) -> None:
    """The keeper's root lost its protection: one judgement of both says so, and it is no ring."""
    a, b = add(ledger, ["a", "b"])
    record(ledger, verdict(b, a))
    rows, refused = record(ledger, verdict(a, b), files=(a, b))
    assert (len(rows), refused) == (1, [])
    assert pairs(ledger) == [("a", "b")]


def test_a_file_judged_without_a_verdict_loses_the_one_it_had(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    record(ledger, verdict(b, a))
    record(ledger, files=(b,))
    [past] = ledger.verdicts_for(b.key.path)
    assert past.closed_reason == "judged again"
    [again], _ = record(ledger, verdict(b, a), files=(b,))
    assert not again.first


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_a_duplicate_that_changed_meanwhile_gets_no_verdict(ledger: Ledger, change: str) -> None:
    a, b = add(ledger, ["a", "b"], index=False)
    if change == "changed":
        ledger.note_arrivals([arrival("b", 99)])
    else:
        ledger.note_gone(b.key.path)
    rows, refused = record(ledger, verdict(b, a), files=(a, b))
    assert (rows, refused) == ([], ["duplicate changed"])
    assert ledger.counts()[FileState.INDEXED] == 1


def test_files_that_moved_while_they_were_judged_get_their_verdict(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"], index=False)
    ledger.note_arrivals([arrival("y", ino_of("a")), arrival("z", ino_of("b"))])
    [row], refused = record(ledger, verdict(b, a), files=(a, b))
    assert refused == []
    assert (row.duplicate_file_id, row.duplicate_now, row.keeper_now) == (b.file_id, ROOT + b"/z", ROOT + b"/y")
    assert ledger.counts()[FileState.INDEXED] == 2


def test_a_moved_file_with_a_hard_link_is_judged_again_rather_than_guessed(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"], index=False)
    link = Arrival(FileKey(ROOT + b"/link", b.key.identity), ROOT, live=True)
    held = os.stat_result((0o100644, b.key.identity.ino, 7, 2, 0, 0, 100, 0, 0, 0), {"st_mtime_ns": 5_000})
    ledger._lstat = lambda path: held  # b is still where it was
    assert ledger.note_arrivals([link]) == [Noted.PENDING]
    [other] = ledger.take_pending(1)
    ledger.record_seen([seen(other, "b")])
    moved = replace(verdict(b, a), duplicate=FileKey(ROOT + b"/before", b.key.identity))  # one of the two was here
    assert record(ledger, moved, files=(a, b, other)) == ([], ["duplicate changed"])
    assert [row.file_id for row in ledger.take_seen(9)] == [b.file_id, other.file_id]


@pytest.mark.parametrize("change", ["changed", "gone", "other bytes"])
def test_a_duplicate_whose_keeper_went_is_judged_again(ledger: Ledger, change: str) -> None:
    a, b = add(ledger, ["a", "b"], index=False)
    if change == "gone":
        ledger.note_gone(a.key.path)
    else:
        ledger.note_arrivals([arrival("a", 99)])
        if change == "other bytes":
            [changed] = ledger.take_pending(1)
            ledger.record_seen([seen(changed, "new")])
    rows, refused = record(ledger, verdict(b, a), files=(b,))
    assert (rows, refused) == ([], ["keeper changed"])
    assert b.file_id in [row.file_id for row in ledger.take_seen(9)]


def test_a_judgement_never_covers_a_file_that_changed_and_was_seen_again(ledger: Ledger) -> None:
    [a] = add(ledger, ["a"], index=False)
    ledger.note_arrivals([arrival("a", 99)])
    [changed] = ledger.take_pending(1)
    ledger.record_judged([a.file_id], [])
    assert ledger.counts()[FileState.PENDING] == 1
    ledger.record_seen([seen(changed, "new")])
    ledger.record_judged([a.file_id], [], keys={a.file_id: a.key})
    assert [row.file_id for row in ledger.take_seen(9)] == [a.file_id]
    ledger.record_judged([a.file_id], [], keys={a.file_id: changed.key})
    assert ledger.take_seen(9) == []


def test_an_older_file_may_become_the_duplicate_of_a_newcomer(ledger: Ledger) -> None:
    """The newcomer lies in a protected root. Only the newcomer is judged; the verdict is about the other."""
    a, b = add(ledger, ["a", "b"])
    rows, _ = record(ledger, verdict(a, b), files=(b,))
    assert [r.duplicate_file_id for r in rows] == [a.file_id]


def test_alerts_are_marked_once_and_survive(ledger: Ledger, clock: ManualClock) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    rows, _ = record(ledger, verdict(b, a), verdict(c, a))
    assert ledger.unalerted(1) == rows[:1]
    ledger.mark_alerted([rows[0].verdict_id])
    first_told_ns = clock.now_ns()
    clock.advance(1)
    ledger.mark_alerted([rows[0].verdict_id])
    told = ledger.verdict(rows[0].verdict_id)
    assert told is not None
    assert told.alerted_at_ns == first_told_ns
    assert ledger.unalerted(9) == rows[1:]


def test_only_living_pairs_are_listed(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    record(ledger, verdict(b, a), verdict(c, a))
    ledger.note_gone(b.key.path)
    assert pairs(ledger) == [("c", "a")]
    assert pairs(ledger, living_only=False) == [("b", "a"), ("c", "a")]
    ledger.note_gone(a.key.path)
    assert pairs(ledger) == []
    [gone] = ledger.verdicts_for(c.key.path)
    assert (gone.duplicate_now, gone.keeper_now, gone.living) == (c.key.path, None, False)
    ledger.note_arrivals([arrival("a", ino_of("a"))])
    assert pairs(ledger) == [("c", "a")]


def test_a_keeper_with_other_bytes_is_no_keeper_and_a_touched_one_is(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    record(ledger, verdict(b, a))
    for ino, content, expected in ((98, "a", [("b", "a")]), (99, "new", [])):
        ledger.note_arrivals([arrival("a", ino)])
        assert pairs(ledger) == []
        [changed] = ledger.take_pending(1)
        ledger.record_seen([seen(changed, content)])
        assert pairs(ledger) == expected


def test_a_moved_pair_is_listed_where_it_is_now(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    record(ledger, verdict(b, a))
    ledger.note_arrivals([arrival("sub/z", ino_of("b")), arrival("y", ino_of("a"))])
    [row] = ledger.duplicates(root=ROOT + b"/sub")
    assert (row.duplicate_now, row.keeper_now) == (ROOT + b"/sub/z", ROOT + b"/y")
    assert (row.verdict.duplicate, row.verdict.keeper) == (b.key, a.key), "what was decided is history"
    assert list(ledger.duplicates(root=ROOT + b"/other")) == []


def test_listings_filter_by_class_and_time(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    record(ledger, verdict(b, a, at_ns=10), verdict(c, a, RELATED, at_ns=20))
    assert pairs(ledger, classes=[RE_ENCODED]) == [("b", "a")]
    assert pairs(ledger, classes=[RELATED, RE_ENCODED]) == [("b", "a"), ("c", "a")]
    assert pairs(ledger, classes=[]) == []
    assert pairs(ledger, since_ns=11) == [("c", "a")]


def test_long_listings_come_in_pages(ledger: Ledger) -> None:
    keeper, *rest = add(ledger, [f"{i:04d}" for i in range(1101)])
    record(ledger, *(verdict(row, keeper) for row in rest))
    assert [row.verdict_id for row in ledger.duplicates()] == list(range(1, 1101))


def test_a_pair_marked_not_duplicate_stays_so(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    assert a.digest is not None
    assert b.digest is not None
    record(ledger, verdict(b, a))
    ledger.mark_not_duplicate(a.digest, b.digest, "mark a b")
    ledger.mark_not_duplicate(b.digest, a.digest, "again")
    assert ledger.is_not_duplicate(a.digest, b.digest)
    assert ledger.is_not_duplicate(b.digest, a.digest)
    assert not ledger.is_not_duplicate(a.digest, a.digest)
    assert pairs(ledger, living_only=False) == []
    assert record(ledger, verdict(b, a)) == ([], ["marked not-duplicate"])
    assert record(ledger, verdict(a, b)) == ([], ["marked not-duplicate"])


def test_copies_of_a_removed_keeper_are_judged_again(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    record(ledger, verdict(b, a), verdict(c, a))
    assert ledger.judge_orphans_again() == 0
    ledger.note_gone(a.key.path)
    assert ledger.judge_orphans_again() == 2
    assert ledger.judge_orphans_again() == 0
    assert [row.file_id for row in ledger.take_seen(9)] == [b.file_id, c.file_id]
    record(ledger, verdict(c, b), files=(b, c))
    assert pairs(ledger) == [("c", "b")]


def test_copies_of_a_keeper_that_waits_to_be_seen_are_left_alone(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    record(ledger, verdict(b, a))
    ledger.note_arrivals([arrival("a", 99)])
    assert ledger.judge_orphans_again() == 0
    [changed] = ledger.take_pending(1)
    ledger.record_seen([seen(changed, "new")])
    assert ledger.judge_orphans_again() == 1


def test_history_of_a_replaced_file_is_found_under_its_path(ledger: Ledger) -> None:
    a, b, _ = add(ledger, ["a", "b", "c"])
    [row], _ = record(ledger, verdict(b, a))
    ledger.note_arrivals([arrival("b", ino_of("c"))])
    [past] = ledger.verdicts_for(b.key.path)
    assert past.verdict_id == row.verdict_id
    assert not past.living
