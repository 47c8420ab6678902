"""The service before a long backlog: what memory it takes, and how soon a live arrival is told of all the same.

`DEEPDUPE_BENCH_PENDING` (1,000,000) and `DEEPDUPE_BENCH_BACKFILL` (100,000) choose the sizes; the first needs as many
inodes, the second 4 KiB a file.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepdupe_daemon.clock import SystemClock
from deepdupe_daemon.ledger import Ledger
from deepdupe_daemon.model import FileState
from deepdupe_daemon.service import ControlClient
from tests.acceptance.daemon import counts
from tests.benchmarks.processes import PeakMemory, family, now_s
from tests.benchmarks.test_service_rates import PROGRAM, Watching
from tests.conftest import Eventually
from tests.service.pictures import photo

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

PENDING = int(os.environ.get("DEEPDUPE_BENCH_PENDING", "1000000"))
BACKFILL = int(os.environ.get("DEEPDUPE_BENCH_BACKFILL", "100000"))
ARRIVALS = 25
PER_FOLDER = 1000


def say(text: str) -> None:
    print(text, file=sys.__stderr__, flush=True)


def folders(top: Path, files: int) -> list[tuple[int, Path]]:
    """A folder for each thousand files, made; with the number of its first file."""
    made = []
    for first in range(0, files, PER_FOLDER):
        folder = top / f"{first // PER_FOLDER:05}"
        folder.mkdir(parents=True)
        made.append((first, folder))
    return made


def test_memory_with_many_files_pending(tmp_path: Path, eventually: Eventually) -> None:
    """Sparse files of different lengths: each is read, and none is a picture."""
    for files in (10_000, PENDING):
        root, state = tmp_path / f"root-{files}", tmp_path / f"state-{files}"
        for first, folder in folders(root, files):
            fd = os.open(folder, os.O_RDONLY)
            for number in range(first, min(first + PER_FOLDER, files)):
                inner = os.open(f"{number:07}.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
                os.ftruncate(inner, 64 + number % 5000)
                os.close(inner)
            os.close(fd)
        command = [*PROGRAM, "watch", str(root), "--state-dir", str(state), "--json"]
        most = 0
        with (
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon,
            PeakMemory(daemon.pid, every_s=0.5) as peak,
        ):
            eventually(lambda state=state, files=files: sum(counts(state).values()) >= files, 3000, every_s=0.5)
            most = counts(state)[FileState.PENDING]
            threading.Event().wait(20)
            left = counts(state)[FileState.PENDING]
            for pid in family(daemon.pid):
                os.kill(pid, 9)
        say(
            f"\n{files:,} files, {most:,} pending when all were noted, {left:,} 20 s later: peak of the service"
            f" {peak.own_bytes / 2**20:.0f} MiB, of all processes {peak.sum_bytes / 2**20:.0f} MiB"
        )


def test_a_live_arrival_passes_the_backfill(tmp_path: Path, eventually: Eventually) -> None:
    root, state = tmp_path / "photos", tmp_path / "state"
    (root / "known").mkdir(parents=True)
    for number in range(ARRIVALS):
        photo(number, (800, 600)).save(root / "known" / f"{number}.jpg", quality=92)
    subprocess.run([*PROGRAM, "scan", str(root), "--state-dir", str(state)], check=True, stdout=subprocess.DEVNULL)
    dice = np.random.default_rng(5)
    for first, folder in folders(root / "backfill", BACKFILL):
        for number in range(first, min(first + PER_FOLDER, BACKFILL)):
            picture = Image.fromarray(dice.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            picture.save(folder / f"{number:06}.jpg", quality=75)
    began_s = now_s()
    watching = Watching(root, state)
    waits_s: list[float] = []
    status_ms: list[float] = []
    try:
        assert watching.ready.wait(120)
        eventually(lambda: pending(state) > BACKFILL // 20, 600)
        client = ControlClient(state / "control.sock")
        for number in range(ARRIVALS):
            target = root / f"arrival-{number}.png"  # the same pixels in other bytes: it goes the whole way
            with Image.open(root / "known" / f"{number}.jpg") as known:
                known.save(target, compress_level=1)
            closed_s, before = now_s(), pending(state)
            eventually(lambda name=str(target): name in watching.alerts, timeout_s=120)
            waits_s.append(watching.alerts[str(target)][0] - closed_s)
            if before < BACKFILL // 100:
                waits_s.pop()
                break
            for _ in range(10):
                asked_s = now_s()
                client.request("status")
                status_ms.append(1000 * (now_s() - asked_s))
            threading.Event().wait(1.0)
        left = pending(state)
        eventually(lambda: pending(state) == 0, 3000, every_s=0.5)
        took_s = now_s() - began_s
    finally:
        watching.stop()
    say(
        f"\na backfill of {BACKFILL:,} files in {took_s:.0f} s ({BACKFILL / took_s:,.0f}/s); {len(waits_s)} arrivals"
        f" in its midst (the last with {left:,} pending): close to alert p50 {statistics.median(waits_s):.2f} s,"
        f" longest {max(waits_s):.2f} s; `status` meanwhile p50 {statistics.median(status_ms):.0f} ms,"
        f" p99 {sorted(status_ms)[int(0.99 * len(status_ms))]:.0f} ms"
    )
    assert len(waits_s) >= 10, "the backfill was over too soon to say anything"


def pending(state: Path) -> int:
    with Ledger.open(state, SystemClock(), readonly=True) as ledger:
        return sum(ledger.pending_counts())
