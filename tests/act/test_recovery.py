"""The restart after a kill, when people have been at the files meanwhile: nothing is lost, whatever they did."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepdupe_daemon.act import Outcome, Problem, Recovered, purging, transfer
from deepdupe_daemon.ledger import ActionRow, ActionState, VerdictRow
from tests.act.ground import Ground, Likeness, likeness, tree

NAME = b"copy.jpg"


class Killed(BaseException):
    """Stands for SIGKILL: nobody catches it, and nothing that would follow happens."""


@pytest.fixture
def verdict(ground: Ground) -> VerdictRow:
    return ground.pair("a/copy.jpg")


@pytest.fixture
def across(ground: Ground, other_disk: Path) -> Ground:
    ground.place = os.fsencode(other_disk / "quarantine")
    return ground


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ActionRow]:
    """Carry an action out, or back, and be killed right after the rename that the predicate knows."""

    def run(ground: Ground, doing: Callable[[], object], is_it: Callable[[bytes, bytes], bool]) -> ActionRow:
        rename = transfer.rename_noreplace

        def renamed(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
            rename(source_fd, source, target_fd, target)
            if is_it(source, target):
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(transfer, "rename_noreplace", renamed)
            # what a killed process does not do either: put things back
            patch.setattr(transfer.Transfer, "_back", lambda _: None)
            patch.setattr(transfer.Aside, "close", lambda _: None)
            with pytest.raises(Killed):
                doing()
        [row] = ground.ledger.open_actions()
        return row

    return run


def recover(ground: Ground) -> Recovered:
    [recovered] = ground.quarantine.recover()
    if recovered.outcome is not Outcome.POSTPONED:
        assert not recovered.action.state.open
        assert ground.quarantine.recover() == []
        asides = [at for at, _, _ in os.walk(os.fsencode(ground.root)) if b".deepdupe-quarantine." in at]
        assert asides == []
    return recovered


def write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def contents(paths: set[bytes]) -> dict[bytes, bytes]:
    found = {}
    for path in paths:
        with open(path, "rb") as file:
            found[os.path.basename(path)] = file.read()
    return found


def moved_source(source: bytes, target: bytes) -> bool:
    return source == NAME


def published(source: bytes, target: bytes) -> bool:
    return source.endswith(b".part")


# -- renamed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["another picture", "the same bytes"])
def test_a_new_file_at_the_old_name_stays_and_so_does_the_one_in_quarantine(
    ground: Ground, verdict: VerdictRow, killed_after: Any, content: str
) -> None:
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    row = killed_after(ground, lambda: ground.move(verdict), moved_source)
    assert not os.path.lexists(path)
    write(path, content.encode() if content == "another picture" else ground_bytes())
    new = likeness(path)
    assert recover(ground).outcome is Outcome.FINISHED
    assert likeness(ground.stored(row)) == before
    assert likeness(path) == new


def ground_bytes() -> bytes:
    return b"the copy " + b"a/copy.jpg" * 100


def test_a_stranger_that_was_moved_goes_back_to_its_name(
    ground: Ground, verdict: VerdictRow, killed_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swapped at the last moment, and killed before it was looked at."""
    path = verdict.verdict.duplicate.path
    rename = transfer.rename_noreplace

    def swapped(source_fd: int, source: bytes, target_fd: int, target: bytes) -> None:
        os.rename(path, path + b".bak")
        write(path, b"a stranger")
        rename(source_fd, source, target_fd, target)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "rename_noreplace", swapped)
        killed_after(ground, lambda: ground.move(verdict), moved_source)
    assert not os.path.lexists(path)
    assert recover(ground).outcome is Outcome.ROLLED_BACK
    assert contents(tree(os.path.dirname(path))) == {NAME: b"a stranger", NAME + b".bak": ground_bytes()}


def test_half_a_bundle_goes_back_under_a_free_name_where_its_own_is_taken(
    ground: Ground, verdict: VerdictRow, killed_after: Any
) -> None:
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    sidecar = ground.file("a/copy.xmp", b"sidecar").key.path
    killed_after(ground, lambda: ground.move(verdict, companions=[sidecar]), moved_source)
    write(path, b"new")
    assert recover(ground).outcome is Outcome.ROLLED_BACK
    assert likeness(os.path.join(os.path.dirname(path), b"copy (restored).jpg")) == before
    assert contents({path, sidecar}) == {NAME: b"new", b"copy.xmp": b"sidecar"}


# -- copied ------------------------------------------------------------------------------------------------------------


def test_a_copy_whose_source_was_not_touched_is_taken_back(
    across: Ground, verdict: VerdictRow, killed_after: Any
) -> None:
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    killed_after(across, lambda: across.move(verdict), published)
    assert recover(across).outcome is Outcome.ROLLED_BACK
    assert likeness(path) == before
    assert os.listdir(across.place) == []


@pytest.mark.parametrize("how", ["edited", "replaced", "deleted", "renamed"])
def test_a_copy_whose_source_was_changed_since_is_kept(
    across: Ground, verdict: VerdictRow, killed_after: Any, how: str
) -> None:
    """Whether the source went by us or by somebody else cannot be told any more, so that nothing is thrown away."""
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    row = killed_after(across, lambda: across.move(verdict), published)
    match how:
        case "edited":
            write(path, b"edited")
        case "replaced":
            write(path + b"~", b"replaced")
            os.rename(path + b"~", path)
        case "deleted":
            os.unlink(path)
        case _:
            os.rename(path, path + b".bak")
    left = {at: likeness(at) for at in tree(os.path.dirname(path))}
    assert recover(across).outcome is Outcome.FINISHED
    assert likeness(across.stored(row)) == before
    assert {at: likeness(at) for at in tree(os.path.dirname(path))} == left


def test_a_source_that_was_taken_aside_is_finished(across: Ground, verdict: VerdictRow, killed_after: Any) -> None:
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    calls: list[bytes] = []

    def second(source: bytes, target: bytes) -> bool:
        calls.append(source)
        return source == NAME and target == b"0"

    row = killed_after(across, lambda: across.move(verdict), second)
    [aside] = [name for name in os.listdir(os.path.dirname(path)) if name.startswith(b".deepdupe-quarantine.")]
    assert os.listdir(os.path.join(os.path.dirname(path), aside)) == [b"0"]
    assert recover(across).outcome is Outcome.FINISHED
    assert likeness(across.stored(row)) == before
    assert os.listdir(os.path.dirname(path)) == []


@pytest.mark.parametrize("taken", [False, True])
def test_half_a_bundle_that_was_taken_aside_goes_back(
    across: Ground, verdict: VerdictRow, killed_after: Any, taken: bool
) -> None:
    path = verdict.verdict.duplicate.path
    before: dict[bytes, Likeness] = {NAME: likeness(path)}
    sidecar = across.file("a/copy.xmp", b"sidecar").key.path
    killed_after(across, lambda: across.move(verdict, companions=[sidecar]), lambda source, target: target == b"0")
    if taken:
        write(path, b"new")
    assert recover(across).outcome is Outcome.ROLLED_BACK
    back = os.path.join(os.path.dirname(path), b"copy (restored).jpg") if taken else path
    assert likeness(back) == before[NAME]
    assert len(tree(os.path.dirname(path))) == 2 + taken
    assert os.listdir(across.place) == []


# -- on the way back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["same", "across"])
def test_a_restore_goes_on_under_a_free_name_where_its_own_was_taken(
    ground: Ground, verdict: VerdictRow, killed_after: Any, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "across":
        request.getfixturevalue("across")
    path = verdict.verdict.duplicate.path
    before = likeness(path)
    sidecar = ground.file("a/copy.xmp", b"sidecar").key.path
    moved = ground.move(verdict, companions=[sidecar])
    killed_after(ground, lambda: ground.quarantine.restore(moved.action_id), lambda source, target: target == NAME)
    write(sidecar, b"somebody's")
    recovered = recover(ground)
    assert (recovered.outcome, recovered.action.state) == (Outcome.FINISHED, ActionState.RESTORED)
    assert likeness(path) == before
    assert recovered.action.intent.files[0].target == path
    beside = recovered.action.intent.files[1].target
    assert beside is not None
    assert contents({sidecar, beside}) == {b"copy.xmp": b"somebody's", b"copy (restored).xmp": b"sidecar"}
    assert os.listdir(ground.place) == []


def test_a_restore_whose_way_is_blocked_waits(
    ground: Ground, verdict: VerdictRow, killed_after: Any, tmp_path: Path
) -> None:
    path = verdict.verdict.duplicate.path
    sidecar = ground.file("b/copy.xmp", b"sidecar").key.path
    moved = ground.move(verdict, companions=[sidecar])
    killed_after(ground, lambda: ground.quarantine.restore(moved.action_id), lambda source, target: target == NAME)
    shutil.rmtree(ground.root / "b")
    (tmp_path / "elsewhere").mkdir()
    (ground.root / "b").symlink_to(tmp_path / "elsewhere")
    recovered = recover(ground)
    assert recovered.outcome is Outcome.POSTPONED
    assert "symbolic link" in recovered.reason
    assert os.listdir(tmp_path / "elsewhere") == []
    assert [finding.problem for finding in ground.quarantine.verify()] == [Problem.OPEN]
    (ground.root / "b").unlink()
    assert recover(ground).outcome is Outcome.FINISHED
    assert os.path.lexists(path)
    assert os.path.lexists(sidecar)


def test_what_came_back_and_was_moved_on_by_its_owner_is_restored(
    ground: Ground, verdict: VerdictRow, killed_after: Any
) -> None:
    path = verdict.verdict.duplicate.path
    moved = ground.move(verdict)
    killed_after(ground, lambda: ground.quarantine.restore(moved.action_id), lambda source, target: target == NAME)
    os.rename(path, path + b".mine")
    assert recover(ground).action.state is ActionState.RESTORED
    assert os.listdir(ground.place) == []
    assert tree(os.path.dirname(path)) == {path + b".mine"}


# -- and otherwise -----------------------------------------------------------------------------------------------------


def test_a_purge_goes_on(ground: Ground, verdict: VerdictRow, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = ground.move(verdict)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(purging, "clear_action", killed)
        with pytest.raises(Killed):
            ground.quarantine.purge(moved.action_id)
    recovered = recover(ground)
    assert (recovered.outcome, recovered.action.state) == (Outcome.FINISHED, ActionState.PURGED)
    assert os.listdir(ground.place) == []


def test_an_intent_that_never_began_is_given_up_and_can_be_planned_again(ground: Ground, verdict: VerdictRow) -> None:
    ground.ledger.record_intent(ground.plan(verdict))
    recovered = recover(ground)
    assert (recovered.outcome, recovered.action.kind) == (Outcome.ROLLED_BACK, "interrupted")
    assert ground.move(verdict).state is ActionState.QUARANTINED


def test_one_that_cannot_be_recovered_does_not_hinder_the_others(
    ground: Ground, verdict: VerdictRow, killed_after: Any
) -> None:
    killed_after(ground, lambda: ground.move(verdict), moved_source)
    second = ground.pair("b/other.jpg", kept="kept2.jpg")
    ground.ledger.record_intent(ground.plan(second))
    folder = os.path.join(ground.place, ground.ledger.open_actions()[0].intent.token.encode())
    fd = os.open(folder, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    outcomes = [one.outcome for one in ground.quarantine.recover()]
    os.close(fd)
    assert outcomes == [Outcome.POSTPONED, Outcome.ROLLED_BACK]
    assert recover(ground).outcome is Outcome.FINISHED
