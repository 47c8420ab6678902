"""Into quarantine and back: what went is what returns, with its owner, mode, times, attributes and companions."""

from __future__ import annotations

import os

from deepdupe_daemon.ledger import ActionState
from tests.act.ground import Ground, likeness

SOME_BYTES = bytes(range(256))


def test_a_copy_goes_and_comes_back_as_it_was(ground: Ground) -> None:
    verdict = ground.pair("a/copy.jpg")
    path = verdict.verdict.duplicate.path
    os.chmod(path, 0o640)
    os.setxattr(path, "user.rating", b"5")
    os.utime(path, ns=(1_111_111_111_111_111_111, 1_222_222_222_222_222_222))
    row = ground.see(path)
    verdict = ground.judge(row, ground.file("kept2.jpg", b"kept"))
    before = likeness(path)
    moved = ground.move(verdict)
    assert moved.state is ActionState.QUARANTINED
    assert not os.path.lexists(path)
    assert likeness(ground.stored(moved)) == before
    assert [finding.problem for finding in ground.quarantine.verify()] == [None]
    back = ground.quarantine.restore(moved.action_id)
    assert back.action is not None
    assert back.action.state is ActionState.RESTORED
    assert back.files == ((path, path),)
    assert back.notes == ()
    assert likeness(path) == before
    assert os.listdir(ground.place) == []
