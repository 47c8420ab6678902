"""The daemon is killed again and again while it writes at full rate: what it once acknowledged stays, once.

`DEEPDUPE_KILLS` is how often (50). It prints how long the starts took.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import threading
from pathlib import Path

import pytest

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from tests.acceptance.daemon import Daemon, counts
from tests.acceptance.test_kill import behind, ids_in_chroma
from tests.benchmarks.test_sustained_arrivals import arrive
from tests.conftest import Eventually

KILLS = int(os.environ.get("DEEPDUPE_KILLS", "50"))
SEED = 20261201
#: files that arrive in each life, so that it is killed in the midst of them
EACH = 150


def acknowledged(state_dir: Path) -> dict[bytes, int]:
    """Path -> image of every file that the ledger calls indexed."""
    with Ledger.open(state_dir, SystemClock(), readonly=True) as ledger:
        found = {}
        for path, _, state in ledger.known_paths(os.fsencode(state_dir.parent / "photos")):
            row = ledger.file_by_path(path) if state is FileState.INDEXED else None
            if row is not None and row.image_id is not None:
                found[path] = row.image_id
        return found


def indexed(state_dir: Path) -> int:
    return counts(state_dir)[FileState.INDEXED]


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_is_there_and_no_vector_is_there_twice(
    tmp_path: Path, project_root: Path, eventually: Eventually
) -> None:
    choose, clock = random.Random(SEED), SystemClock()
    root, state_dir = tmp_path / "photos", tmp_path / "state"
    root.mkdir()
    starts_s: list[float] = []
    runs: list[Daemon] = []
    promised: dict[bytes, int] = {}
    files = 0

    def start() -> Daemon:
        began_s = clock.monotonic_s()
        runs.append(Daemon(root, state_dir, tmp_path / f"run-{len(runs)}.jsonl", project_root))
        eventually(lambda: runs[-1].ready, timeout_s=120)
        starts_s.append(clock.monotonic_s() - began_s)
        return runs[-1]

    try:
        for _ in range(KILLS):
            daemon = start()
            goal = indexed(state_dir) + choose.randrange(EACH)
            for _ in range(EACH):
                arrive(root, files)
                files += 1
            eventually(lambda goal=goal: indexed(state_dir) >= goal, timeout_s=120)
            threading.Event().wait(choose.uniform(0.0, 0.3))  # a moment that nobody chose
            promised |= acknowledged(state_dir)
            daemon.kill(whole_group=choose.random() < 0.5)
            now = acknowledged(state_dir)
            assert {path: now.get(path) for path in promised} == promised
        last = start()
        eventually(lambda: indexed(state_dir) == files, timeout_s=600, every_s=0.1)
        eventually(lambda: behind(state_dir) == 0, timeout_s=600, every_s=0.1)
        assert last.terminate(60) == 0, last.last_words()
    finally:
        for run in runs:
            if run.process.poll() is None:
                run.kill(whole_group=True)

    final = acknowledged(state_dir)
    assert len(final) == files
    assert {path: final[path] for path in promised} == promised
    with Ledger.open(state_dir, clock) as ledger:
        assert ledger.damage() == []
        (space,) = ledger.spaces()
        ids = [int(image) for chunk, _ in ledger.vectors(space.name) for image in chunk]
        assert sorted(ids) == sorted(set(final.values())), "each image has one vector"
        digests = sorted(image.digest.hex()[:32] for image in map(ledger.image, ids) if image is not None)
    assert sorted(ids_in_chroma(state_dir, tmp_path / "chroma")) == digests, "and is in the collection once"
    print(
        f"\n{KILLS} kills over {files:,} files: {len(promised):,} were acknowledged before one, none is missing;"
        f" starts took {statistics.median(starts_s):.1f} s, {max(starts_s):.1f} at the most",
        file=sys.__stderr__,
    )
