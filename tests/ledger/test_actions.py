"""Actions: no file is taken by two, none is taken that another's rescue depends on, and what came back stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from deepdupe_daemon.clock import ManualClock
from deepdupe_daemon.errors import ActionRefused
from deepdupe_daemon.ledger import ActionFile, ActionRow, ActionState, FileRow, Intent, Ledger, Noted, Party, VerdictRow
from deepdupe_daemon.model import FileState, VerdictClass
from tests.ledger.build import ROOT, add, arrival, digest_of, identity, ino_of, verdict

PLACE = ROOT + b"/.deepdupe-quarantine"
SIDECAR = Party(ROOT + b"/b.xmp", ROOT, identity(77), digest_of("b.xmp"))


def party(file: FileRow) -> Party:
    assert file.digest is not None
    return Party(file.key.path, file.root, file.key.identity, file.digest)


def judged(ledger: Ledger, duplicate: FileRow, keeper: FileRow) -> VerdictRow:
    [row] = ledger.record_judged([duplicate.file_id], [verdict(duplicate, keeper)])
    return row


def intent(
    row: VerdictRow, duplicate: FileRow, keeper: FileRow, *, also: Sequence[Party] = (), token: str | None = None
) -> Intent:
    files = [ActionFile(party(duplicate), party(keeper), b"0.jpg")]
    files += [ActionFile(one, None, b"%d.xmp" % number) for number, one in enumerate(also, start=1)]
    evidence = {"similarities": {"small.final": 0.5}, "vetoes": ["sub-second"]}
    token = token or f"token-{row.verdict_id}"
    return Intent(token, row.verdict_id, VerdictClass.RE_ENCODED, evidence, PLACE, tuple(files))


def quarantined(ledger: Ledger, duplicate: FileRow, keeper: FileRow, *, also: Sequence[Party] = ()) -> ActionRow:
    row = ledger.record_intent(intent(judged(ledger, duplicate, keeper), duplicate, keeper, also=also))
    return ledger.mark_moved(row.action_id)


def refused(ledger: Ledger, planned: Intent) -> tuple[str, bool]:
    with pytest.raises(ActionRefused) as caught:
        ledger.record_intent(planned)
    return caught.value.kind, caught.value.retry


def test_an_intent_comes_back_as_it_was_given(ledger: Ledger, clock: ManualClock) -> None:
    a, b = add(ledger, ["a", "b"])
    planned = intent(judged(ledger, b, a), b, a, also=[SIDECAR])
    row = ledger.record_intent(planned)
    assert row.intent == planned
    assert (row.label, row.state, row.state.open) == ("q1", ActionState.INTENDED, True)
    assert (row.intended_at_ns, row.moved_at_ns, row.told_at_ns, row.kind) == (clock.now_ns(), None, None, None)
    assert ledger.action(1) == ledger.action_by_token("token-1") == ledger.action_on(planned.verdict_id) == row
    assert ledger.open_actions() == [row] == list(ledger.actions())
    assert ledger.action(2) is ledger.action_by_token("no") is ledger.action_on(9) is None
    assert ledger.file_by_path(b.key.path) == b, "an intent moves nothing"


def test_numbers_beyond_63_bits_come_back(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    huge = Party(ROOT + b"/x.xmp", ROOT, replace(identity(2**64 - 1), mtime_ns=2**65), digest_of("x"))
    assert ledger.record_intent(intent(judged(ledger, b, a), b, a, also=[huge])).intent.files[1].file == huge


def test_what_was_moved_is_gone_from_its_place_in_the_same_step(ledger: Ledger, clock: ManualClock) -> None:
    a, b = add(ledger, ["a", "b"])
    clock.advance(5)
    row = quarantined(ledger, b, a)
    assert (row.state, row.moved_at_ns) == (ActionState.QUARANTINED, clock.now_ns())
    moved, stayed = ledger.file_by_path(b.key.path), ledger.file_by_path(a.key.path)
    assert moved is not None
    assert moved.state is FileState.GONE
    assert stayed == a
    assert ledger.open_actions() == []


def test_another_file_that_took_the_name_meanwhile_is_not_gone(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    row = ledger.record_intent(intent(judged(ledger, b, a), b, a))
    ledger.note_arrivals([arrival("b", 4711)])
    ledger.mark_moved(row.action_id)
    now = ledger.file_by_path(b.key.path)
    assert now is not None
    assert now.state is FileState.PENDING


def test_a_refused_action_leaves_its_reason(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    row = ledger.abandon(ledger.record_intent(intent(judged(ledger, b, a), b, a)).action_id, "changed", "it grew")
    assert (row.state, row.kind, row.reason, row.moved_at_ns) == (ActionState.ABANDONED, "changed", "it grew", None)
    again = ledger.record_intent(intent(judged_again(ledger, b), b, a, token="again"))
    assert ledger.action_on(again.intent.verdict_id) == again


def judged_again(ledger: Ledger, duplicate: FileRow) -> VerdictRow:
    return ledger.verdicts_for(duplicate.key.path)[-1]


def test_no_file_is_taken_twice(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    first = ledger.record_intent(intent(judged(ledger, b, a), b, a))
    assert refused(ledger, intent(judged_again(ledger, b), b, a, token="again")) == ("intended", True)
    ledger.mark_moved(first.action_id)


def test_a_companion_is_not_taken_twice_either(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    ledger.record_intent(intent(judged(ledger, b, a), b, a, also=[SIDECAR]))
    assert refused(ledger, intent(judged(ledger, c, a), c, a, also=[SIDECAR])) == ("intended", True)


@pytest.mark.parametrize("state", ["intended", "quarantined", "restoring"])
def test_what_stays_for_another_does_not_go(ledger: Ledger, state: str) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    row = ledger.record_intent(intent(judged(ledger, b, a), b, a))
    if state != "intended":
        row = ledger.mark_moved(row.action_id)
    if state == "restoring":
        ledger.begin_restore(row.action_id, [b.key.path])
    assert refused(ledger, intent(judged(ledger, a, c), a, c)) == ("is-keeper", False)


def test_what_stays_is_known_after_a_rename_too(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    quarantined(ledger, b, a)
    assert ledger.note_arrivals([arrival("a2", ino_of("a"))]) == [Noted.MOVED]
    renamed = ledger.file_by_path(ROOT + b"/a2")
    assert renamed is not None
    assert refused(ledger, intent(judged(ledger, renamed, c), renamed, c)) == ("is-keeper", False)


def test_the_last_copy_of_what_stays_does_not_go_under_any_name(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    [twin] = add(ledger, ["a-elsewhere"], content="a")
    quarantined(ledger, b, a)
    ledger.note_gone(a.key.path)
    assert refused(ledger, intent(judged(ledger, twin, c), twin, c)) == ("is-keeper", False)


def test_of_several_copies_all_but_one_may_go(ledger: Ledger) -> None:
    a, b, c = (add(ledger, [name], content="same")[0] for name in ("a", "b", "c"))
    assert quarantined(ledger, c, a).state is ActionState.QUARANTINED
    assert quarantined(ledger, b, a).state is ActionState.QUARANTINED
    assert ledger.moved_since(0) == 2


def test_a_keeper_on_its_way_out_keeps_nothing(ledger: Ledger) -> None:
    a, b, c = add(ledger, ["a", "b", "c"])
    ledger.record_intent(intent(judged(ledger, b, a), b, a))
    assert refused(ledger, intent(judged(ledger, c, b), c, b)) == ("keeper-intended", True)


def test_a_bundle_does_not_take_its_own_keeper_along(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    assert refused(ledger, intent(judged(ledger, b, a), b, a, also=[party(a)])) == ("is-keeper", False)


def test_a_verdict_that_no_longer_stands_moves_nothing(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    planned = intent(judged(ledger, b, a), b, a)
    assert a.digest is not None
    assert b.digest is not None
    ledger.mark_not_duplicate(a.digest, b.digest, "a person")
    assert refused(ledger, planned)[0] == "changed"


def test_an_intent_wants_a_keeper_for_the_file_that_was_judged(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="keeper"):
        Intent("t", 1, VerdictClass.RE_ENCODED, {}, PLACE, (ActionFile(SIDECAR, None, b"0"),))


# -- and back ----------------------------------------------------------------------------------------------------------


def test_a_pair_is_remembered_before_its_file_is_back(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    row = quarantined(ledger, b, a)
    back = ledger.begin_restore(row.action_id, [b.key.path])
    assert (back.state, back.first.target) == (ActionState.RESTORING, b.key.path)
    ledger.note_arrivals([arrival("b", ino_of("b"))])
    returned = ledger.file_by_path(b.key.path)
    assert returned is not None
    reasons: list[str] = []
    assert ledger.record_judged([b.file_id], [verdict(b, a)], on_refused=lambda _, why: reasons.append(why)) == []
    assert reasons == ["marked not-duplicate"]


def test_same_bytes_are_remembered_by_file_so_that_other_copies_are_still_found(ledger: Ledger) -> None:
    a, b, c = (add(ledger, [name], content="same")[0] for name in ("a", "b", "c"))
    row = quarantined(ledger, b, a)
    ledger.begin_restore(row.action_id, [b.key.path])
    ledger.mark_restored(row.action_id, {b.key.path: 12345})
    ledger.note_arrivals([arrival("b", ino_of("b"))])
    ledger.record_judged([b.file_id], [])
    reasons: list[str] = []
    found = ledger.record_judged(
        [b.file_id, c.file_id], [verdict(b, a), verdict(c, a)], on_refused=lambda _, why: reasons.append(why)
    )
    assert [one.verdict.duplicate.path for one in found] == [c.key.path]
    assert reasons == ["restored"]
    assert b.digest is not None
    assert not ledger.is_not_duplicate(b.digest, b.digest)
    assert ledger.was_restored(b"/renamed", 12345, b.digest), "known by its inode after a rename"
    assert not ledger.was_restored(b"/renamed", 12345, digest_of("other bytes"))
    assert refused(ledger, replace(intent(found[0], b, a), token="again"))[0] == "restored-before"


def test_a_restoration_that_fails_takes_its_marks_back(ledger: Ledger, clock: ManualClock) -> None:
    a, b = add(ledger, ["a", "b"])
    row = quarantined(ledger, b, a)
    ledger.mark_told([row.action_id])
    ledger.begin_restore(row.action_id, [b"/elsewhere"])
    kept = ledger.keep_quarantined(row.action_id)
    assert (kept.state, kept.first.target, kept.moved_at_ns) == (ActionState.QUARANTINED, None, row.moved_at_ns)
    assert b.digest is not None
    assert a.digest is not None
    assert not ledger.is_not_duplicate(a.digest, b.digest)
    assert not ledger.was_restored(b"/elsewhere", 0, b.digest)
    assert ledger.untold_actions(9) == []


def test_a_restored_file_has_no_current_verdict(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    row = quarantined(ledger, b, a)
    ledger.begin_restore(row.action_id, [b.key.path])
    assert ledger.mark_restored(row.action_id, {}).state is ActionState.RESTORED
    [past] = ledger.verdicts_for(b.key.path)
    assert past.closed_reason == "restored"


def test_a_purge_is_remembered(ledger: Ledger) -> None:
    a, b = add(ledger, ["a", "b"])
    row = quarantined(ledger, b, a)
    assert ledger.begin_purge(row.action_id).state is ActionState.PURGING
    assert [one.action_id for one in ledger.open_actions()] == [row.action_id]
    assert ledger.mark_purged(row.action_id).state is ActionState.PURGED
    with pytest.raises(LookupError):
        ledger.mark_purged(99)


# -- looking up --------------------------------------------------------------------------------------------------------


def test_actions_are_found_by_state_root_path_and_time(ledger: Ledger, clock: ManualClock) -> None:
    a, b, c, d = add(ledger, ["a", "b", "c", "sub/d"])
    start_ns = clock.now_ns()
    rows = []
    for file in (b, c, d):
        clock.advance(10)
        rows.append(quarantined(ledger, file, a))
    ledger.begin_restore(rows[0].action_id, [b.key.path])

    def found(**options: object) -> list[int]:
        return [row.action_id for row in ledger.actions(**options)]  # type: ignore[arg-type] # passed on as given

    assert found() == [1, 2, 3]
    assert found(states=[ActionState.QUARANTINED]) == [2, 3]
    assert found(states=[]) == []
    assert found(root=ROOT + b"/sub") == [3]
    assert found(path=c.key.path) == [2]
    assert found(since_ns=start_ns + 20 * 10**9) == [2, 3]
    assert found(before_ns=start_ns + 20 * 10**9) == [1]
    assert ledger.moved_since(start_ns + 20 * 10**9) == 2
    assert ledger.moved_since(start_ns, ROOT + b"/sub") == 1


def test_listing_goes_by_pages(ledger: Ledger) -> None:
    [a] = add(ledger, ["a"])
    for file in add(ledger, [f"copy-{n}" for n in range(450)]):
        quarantined(ledger, file, a, also=[replace(SIDECAR, path=file.key.path + b".xmp")])
    listed = list(ledger.actions())
    assert [row.action_id for row in listed] == list(range(1, 451))
    assert all(len(row.intent.files) == 2 for row in listed)


def test_what_came_to_rest_is_told_once(ledger: Ledger, clock: ManualClock) -> None:
    a, b = add(ledger, ["a", "b"])
    row = quarantined(ledger, b, a)
    assert [one.label for one in ledger.untold_actions(9)] == ["q1"]
    ledger.mark_told([row.action_id])
    assert ledger.untold_actions(9) == []
    ledger.begin_restore(row.action_id, [b.key.path])
    assert ledger.untold_actions(9) == []
    ledger.mark_restored(row.action_id, {})
    assert [one.state for one in ledger.untold_actions(9)] == [ActionState.RESTORED]
