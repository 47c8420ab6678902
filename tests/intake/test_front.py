"""The room's front: what the service calls, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import deepdupe_daemon.intake as room
from deepdupe_daemon.config import RootConfig
from deepdupe_daemon.intake import IntakeStatus
from tests.intake.conftest import Ground


def test_importing_the_room_loads_neither_watchdog_nor_the_ledger(project_root: Path) -> None:
    code = (
        "import sys, deepdupe_daemon.intake; "
        "sys.exit(any(name.split('.')[0] in ('watchdog', 'sqlite3', 'numpy') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=project_root, check=True)


def test_all_that_is_promised_is_there() -> None:
    for name in room.__all__:
        assert getattr(room, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = room.nothing_of_the_kind


def test_the_status_of_all_lanes_is_that_of_the_slowest() -> None:
    ready = IntakeStatus(armed=True, first_walk_done=True, walks=2, turns=9, offline=(b"/b",), settling=1)
    busy = IntakeStatus(armed=False, walking=True, walks=1, turns=4, offline=(b"/a",), settling=2, error="no space")
    total = IntakeStatus.total([ready, busy])
    assert (total.armed, total.walking, total.first_walk_done) == (False, True, False)
    assert (total.walks, total.turns, total.settling, total.offline) == (3, 4, 3, (b"/a", b"/b"))
    assert total.error == "no space"
    assert not IntakeStatus.total([ready, IntakeStatus(alive=False)]).alive


def test_asking_for_a_walk_of_what_is_no_root_is_refused(ground: Ground) -> None:
    intake = ground.start()
    with pytest.raises(ValueError, match="no watched root"):
        intake.rescan(b"/somewhere/else")


def test_a_walk_on_request_is_told_with_its_figures(ground: Ground) -> None:
    (ground.root / "a.jpg").write_bytes(b"x")
    intake = ground.start()
    intake.rescan(bytes(ground.root))
    ground.until(lambda: "rescan-done" in ground.kinds())
    (notice,) = ground.notices
    assert notice.counts == {"files": 1, "found": 0, "gone": 0}
    assert notice.root == bytes(ground.root)


def test_turns_go_on_while_nothing_happens(ground: Ground) -> None:
    """The supervisor takes a lane whose turns stand still for one that hangs."""
    ground.start()
    before = ground.status().turns
    ground.until(lambda: ground.status().turns > before + 2)


def test_a_lane_that_has_ended_is_not_alive(ground: Ground) -> None:
    intake = ground.start()
    assert ground.status().alive
    ground.stop()
    assert not intake.status().alive


def test_intake_can_be_stopped_before_it_was_started(ground: Ground) -> None:
    from deepdupe_daemon.config import IntakeConfig
    from deepdupe_daemon.intake import Intake

    configs = [RootConfig(path=ground.root)]
    intake = Intake(
        configs, IntakeConfig(), ground.open_ledger, ground.clock, ground.pending.set, ground.notices.append
    )
    assert intake.stop(1)
