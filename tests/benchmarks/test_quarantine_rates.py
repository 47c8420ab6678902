"""How fast copies move into quarantine and back, on one file system and between two."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import ActionState
from tests.act.ground import Ground

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

MOVES = 500
FILE_BYTES = 300_000


@pytest.mark.parametrize("where", ["same", "across"])
def test_moves_and_restores_a_second(where: str, tmp_path: Path, other_disk: Path) -> None:
    clock = SystemClock()
    ground = Ground(tmp_path, clock=clock)
    if where == "across":
        ground.place = os.fsencode(other_disk / "quarantine")
    keeper = ground.file("kept.jpg", b"kept" * (FILE_BYTES // 4))
    verdicts = [ground.judge(ground.file(f"{n}.jpg", b"%08d" % n * (FILE_BYTES // 8)), keeper) for n in range(MOVES)]
    started_s = clock.monotonic_s()
    rows = [ground.move(verdict) for verdict in verdicts]
    moved_s = clock.monotonic_s()
    for row in rows:
        ground.quarantine.restore(row.action_id)
    restored_s = clock.monotonic_s()
    print(
        f"{where}: {MOVES / (moved_s - started_s):.0f} moves/s, {MOVES / (restored_s - moved_s):.0f} restores/s"
        f" of {FILE_BYTES // 1000} KB; ledger {os.path.getsize(ground.state_dir / 'ledger.sqlite') >> 10} KiB"
    )
    assert len(list(ground.ledger.actions(states=[ActionState.RESTORED]))) == MOVES
    ground.close()
