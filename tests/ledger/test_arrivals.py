"""What `note_arrivals` and `note_gone` make of what intake saw. Nothing here has a file on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.ledger import Ledger, Noted
from deepdupe_daemon.model import Arrival, FileIdentity, FileKey, FileState
from tests.ledger.build import OTHER, ROOT, SPACE, add, arrival, ino_of, seen, verdict

PENDING, KNOWN, MOVED = Noted.PENDING, Noted.KNOWN, Noted.MOVED


def states(ledger: Ledger) -> dict[bytes, FileState]:
    return {path.removeprefix(ROOT + b"/"): state for path, _, state in ledger.known_paths(ROOT)}


def writes(ledger: Ledger) -> int:
    return ledger._db.raw.total_changes


def test_a_new_file_is_pending_and_then_known(ledger: Ledger, clock: ManualClock) -> None:
    first = arrival("a.jpg", 1, live=True)
    assert ledger.note_arrivals([first, arrival("b.jpg", 2)]) == [PENDING, PENDING]
    assert ledger.note_arrivals([first, arrival("b.jpg", 2)]) == [KNOWN, KNOWN]
    row = ledger.file_by_path(first.key.path)
    assert row is not None
    assert (row.key, row.root, row.live, row.state) == (first.key, ROOT, True, FileState.PENDING)
    assert row.arrived_at_ns == clock.now_ns()
    assert (row.attempts, row.error, row.image_id, row.digest) == (0, None, None, None)


@pytest.mark.parametrize("state", ["pending", "seen", "indexed", "failed", "ignored"])
def test_a_known_file_writes_nothing_whatever_its_state(ledger: Ledger, state: str) -> None:
    ledger.ensure_space(SPACE)
    known = arrival("a.jpg", 1)
    ledger.note_arrivals([known])
    [row] = ledger.take_pending(1)
    if state in ("seen", "indexed"):
        ledger.record_seen([seen(row, "a")])
    if state == "indexed":
        ledger.record_judged([row.file_id], [])
    if state == "failed":
        ledger.record_failed(row.file_id, row.key, "truncated", "ends early", None)
    if state == "ignored":
        ledger.record_ignored(row.file_id, row.key, "text")
    before = writes(ledger)
    assert ledger.note_arrivals([known] * 3) == [KNOWN] * 3
    assert writes(ledger) == before
    assert states(ledger) == {b"a.jpg": FileState(state)}


def test_a_changed_file_is_pending_without_its_old_image(ledger: Ledger) -> None:
    [row] = add(ledger, ["a.jpg"])
    assert ledger.note_arrivals([arrival("a.jpg", 99)]) == [PENDING]
    changed = ledger.file(row.file_id)
    assert changed is not None
    assert (changed.state, changed.image_id, changed.digest) == (FileState.PENDING, None, None)
    assert ledger.living_images().size == 0
    assert ledger.image_by_digest(row.digest or b"") is not None, "the vectors stay: the bytes may come again"


def test_a_changed_file_is_judged_anew(ledger: Ledger) -> None:
    keeper, duplicate = add(ledger, ["a.jpg", "b.jpg"])
    [told] = ledger.record_judged([duplicate.file_id], [verdict(duplicate, keeper)])
    ledger.note_arrivals([arrival("b.jpg", 99)])
    closed = ledger.verdict(told.verdict_id)
    assert closed is not None
    assert closed.closed_reason == "changed"
    assert ledger.unalerted(9) == []
    assert list(ledger.duplicates(living_only=False)) == []


def test_a_failed_file_is_retried_when_its_time_has_come(ledger: Ledger, clock: ManualClock) -> None:
    come = arrival("a.jpg", 1)
    ledger.note_arrivals([come])
    [row] = ledger.take_pending(1)
    assert ledger.record_failed(row.file_id, row.key, "timeout", "took 60 s", clock.now_ns() + 5_000_000_000)
    assert ledger.note_arrivals([come]) == [KNOWN]
    clock.advance(5)
    assert ledger.note_arrivals([come]) == [PENDING]
    [again] = ledger.take_pending(1)
    assert (again.attempts, again.error_kind) == (1, "timeout")


def test_a_file_that_comes_under_our_eyes_overtakes_its_own_backfill(ledger: Ledger) -> None:
    ledger.note_arrivals([arrival("a.jpg", 1), arrival("b.jpg", 2)])
    assert ledger.note_arrivals([arrival("b.jpg", 2, live=True)]) == [PENDING]
    assert [row.key.path for row in ledger.take_pending(2)] == [ROOT + b"/b.jpg", ROOT + b"/a.jpg"]
    assert ledger.pending_counts() == (1, 1)
    assert ledger.note_arrivals([arrival("b.jpg", 2, live=False)]) == [KNOWN]


def test_a_return_of_a_known_picture_costs_no_decode(ledger: Ledger) -> None:
    [row] = add(ledger, ["a.jpg"])
    assert ledger.note_gone(row.key.path) == 1
    assert ledger.note_gone(row.key.path) == 0
    assert states(ledger) == {}
    assert ledger.living_images().size == 0
    assert ledger.note_arrivals([arrival("a.jpg", ino_of("a.jpg"))]) == [PENDING]
    assert states(ledger) == {b"a.jpg": FileState.SEEN}
    assert ledger.take_pending(9) == []
    assert [r.image_id for r in ledger.take_seen(9)] == [row.image_id]


def test_many_that_went_are_one_transaction(ledger: Ledger) -> None:
    add(ledger, ["a.jpg", "b.jpg", "c.jpg"])
    gone = [ROOT + b"/" + name for name in (b"a.jpg", b"b.jpg", b"never-seen.jpg")]
    statements: list[str] = []
    ledger._db.raw.set_trace_callback(statements.append)
    assert ledger.note_gone_many(gone) == 2
    assert statements.count("COMMIT") == 1
    statements.clear()
    assert ledger.note_gone_many(gone) == 0
    ledger._db.raw.set_trace_callback(None)
    assert not [statement for statement in statements if statement.startswith(("BEGIN", "UPDATE"))]
    assert states(ledger) == {b"c.jpg": FileState.INDEXED}


def test_what_is_written_together_is_kept_or_given_up_together(ledger: Ledger) -> None:
    add(ledger, ["a.jpg", "b.jpg"])

    def give_up() -> None:
        with ledger.together():
            assert ledger.note_gone(ROOT + b"/a.jpg") == 1
            assert ledger.note_gone(ROOT + b"/b.jpg") == 1
            raise RuntimeError("in the midst")

    with pytest.raises(RuntimeError, match="in the midst"):
        give_up()
    assert states(ledger) == {b"a.jpg": FileState.INDEXED, b"b.jpg": FileState.INDEXED}
    with ledger.together():
        ledger.note_gone(ROOT + b"/a.jpg")
        ledger.note_gone(ROOT + b"/b.jpg")
    assert states(ledger) == {}


@pytest.mark.parametrize("outcome", ["failed", "ignored", "pending"])
def test_a_return_of_another_file_is_as_it_was(ledger: Ledger, outcome: str) -> None:
    come = arrival("a.jpg", 1)
    ledger.note_arrivals([come])
    [row] = ledger.take_pending(1)
    if outcome == "failed":
        ledger.record_failed(row.file_id, row.key, "truncated", "ends early", 2**62)
    elif outcome == "ignored":
        ledger.record_ignored(row.file_id, row.key, "text")
    before = ledger.file(row.file_id)
    ledger.note_gone(row.key.path)
    assert ledger.take_pending(1) == []
    ledger.note_arrivals([come])
    assert ledger.file(row.file_id) == before


def test_a_return_after_a_model_was_added_is_seen_again(ledger: Ledger) -> None:
    [row] = add(ledger, ["a.jpg"])
    ledger.note_gone(row.key.path)
    ledger.ensure_space(OTHER)
    assert ledger.note_arrivals([arrival("a.jpg", ino_of("a.jpg"))]) == [PENDING]
    assert ledger.take_seen(9) == []
    [again] = ledger.take_pending(9)
    ledger.record_seen([seen(again, "a.jpg", SPACE, OTHER)])
    ledger.note_gone(row.key.path)
    ledger.note_arrivals([arrival("a.jpg", ino_of("a.jpg"))])
    assert [r.image_id for r in ledger.take_seen(9)] == [row.image_id]


def test_a_file_that_waits_for_a_new_model_waits_again_after_its_return(ledger: Ledger) -> None:
    [row] = add(ledger, ["a.jpg"])
    ledger.ensure_space(OTHER)
    assert ledger.requeue_missing([SPACE.name, OTHER.name]) == 1
    ledger.note_gone(row.key.path)
    ledger.note_arrivals([arrival("a.jpg", ino_of("a.jpg"))])
    assert [r.file_id for r in ledger.take_pending(9)] == [row.file_id]


def test_a_return_with_other_bytes_is_pending(ledger: Ledger) -> None:
    [row] = add(ledger, ["a.jpg"])
    ledger.note_gone(row.key.path)
    assert ledger.note_arrivals([arrival("a.jpg", 77)]) == [PENDING]
    assert states(ledger) == {b"a.jpg": FileState.PENDING}


def test_a_tree_that_went_takes_nothing_else_along(ledger: Ledger) -> None:
    names = [b"d/a", b"d/deep/b", b"d.jpg", b"d-1/c", b"d0", b"e", b"d/\xff\n", b"D/a", b"d%/x", b"d_/x"]
    ledger.note_arrivals([arrival(name, at) for at, name in enumerate(names, 1)])
    assert ledger.note_gone_tree(ROOT + b"/d") == 3
    assert set(states(ledger)) == set(names) - {b"d/a", b"d/deep/b", b"d/\xff\n"}
    assert ledger.note_gone_tree(ROOT + b"/d/") == 0
    assert ledger.counts()[FileState.GONE] == 3
    assert ledger.note_gone_tree(b"/") == len(names) - 3


def test_known_paths_are_sorted_by_their_bytes_over_many_pages(ledger: Ledger) -> None:
    names = sorted({os.urandom(6).replace(b"/", b"_") for _ in range(4500)} - {b".", b".."})
    ledger.note_arrivals([arrival(name, at) for at, name in enumerate(reversed(names), 1)])
    ledger.note_arrivals([arrival(b"x", 9001, root=b"/photos2"), arrival(b"x", 9002, root=b"/photo")])
    ledger.note_gone(ROOT + b"/" + names[7])
    del names[7]
    found = list(ledger.known_paths(ROOT))
    assert [path for path, _, _ in found] == [ROOT + b"/" + name for name in names]
    assert list(ledger.known_paths(ROOT + b"/")) == found


def test_a_path_outside_its_root_is_refused(ledger: Ledger) -> None:
    for path in (b"/photo/a", b"/photos", b"/photos2/a"):
        with pytest.raises(ValueError, match="does not lie below"):
            ledger.note_arrivals([Arrival(FileKey(path, FileIdentity(1, 1, 1, 1)), ROOT, live=True)])
    assert ledger.note_arrivals([Arrival(FileKey(b"/a", FileIdentity(1, 1, 1, 1)), b"/", live=True)]) == [PENDING]


def test_a_file_may_come_to_lie_in_another_root(ledger: Ledger) -> None:
    """The configuration named /photos, and now names /photos/2024: the rows follow, and nothing is read again."""
    [row] = add(ledger, ["2024/a.jpg"])
    moved_root = Arrival(row.key, ROOT + b"/2024", live=False)
    assert ledger.note_arrivals([moved_root]) == [KNOWN]
    found = ledger.file(row.file_id)
    assert found is not None
    assert (found.root, found.state) == (ROOT + b"/2024", FileState.INDEXED)


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**63 - 1, 0, -1, -(2**63), 2**70, -(2**70)])
def test_numbers_beyond_63_bits_are_kept(ledger: Ledger, number: int) -> None:
    """Inodes of FUSE and CIFS mounts, and files dated before 1902 or after 2262."""
    huge = FileIdentity(dev=abs(number), ino=abs(number), size=5, mtime_ns=number)
    come = Arrival(FileKey(ROOT + b"/a", huge), ROOT, live=True)
    assert ledger.note_arrivals([come]) == [PENDING]
    assert ledger.note_arrivals([come]) == [KNOWN]
    [row] = ledger.take_pending(1)
    assert row.key.identity == huge
    elsewhere = Arrival(FileKey(ROOT + b"/b", huge), ROOT, live=True)
    assert ledger.note_arrivals([elsewhere]) == [PENDING], "moved, and still to be seen"
    assert [r.file_id for r in ledger.take_pending(9)] == [row.file_id]


def test_ten_thousand_known_files_take_one_read_each_and_no_write(state_dir: Path, clock: ManualClock) -> None:
    looked: list[bytes] = []

    def lstat(path: bytes) -> os.stat_result:
        looked.append(path)
        raise FileNotFoundError(path)

    batch = [arrival(f"{i:05d}.jpg", i + 1) for i in range(10_000)]
    with Ledger.open(state_dir, clock, lstat=lstat) as ledger:
        assert ledger.note_arrivals(batch) == [PENDING] * 10_000
        before = writes(ledger)
        statements: list[str] = []
        ledger._db.raw.set_trace_callback(statements.append)
        assert ledger.note_arrivals(batch) == [KNOWN] * 10_000
        ledger._db.raw.set_trace_callback(None)
        assert writes(ledger) == before
        assert len(statements) == 50
        assert looked == []


def test_the_order_in_a_batch_is_the_order_of_discovery(ledger: Ledger) -> None:
    ledger.note_arrivals([arrival("z", 1), arrival("a", 2), arrival("m", 3)])
    assert [row.key.path[-1:] for row in ledger.take_pending(9)] == [b"z", b"a", b"m"]


def test_one_path_twice_in_a_batch_is_one_file(ledger: Ledger) -> None:
    assert ledger.note_arrivals([arrival("a", 1), arrival("a", 1), arrival("a", 2)]) == [PENDING, KNOWN, PENDING]
    assert [row.key.identity.ino for row in ledger.take_pending(9)] == [2]


def test_moved_is_told_apart_from_pending(ledger: Ledger) -> None:
    [row] = add(ledger, ["a.jpg"])
    assert ledger.note_arrivals([arrival("b.jpg", ino_of("a.jpg"))]) == [MOVED]
    found = ledger.file(row.file_id)
    assert found is not None
    assert (found.key.path, found.state, found.image_id) == (ROOT + b"/b.jpg", FileState.INDEXED, row.image_id)
    assert ledger.file_by_path(row.key.path) is None
